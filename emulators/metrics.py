"""What of this app `/metrics` says, by settings.METRICS."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from emulators.services.storing import backlog
from gamer.web.metrics import Figure


def figures(now: datetime) -> Iterable[Figure]:
    waiting = backlog(now)
    yield Figure("saves_waiting", "Archives of saves that are not in the storage yet.", waiting.count)
    yield Figure("saves_waiting_bytes", "What these take in the database.", waiting.bytes)
    yield Figure("saves_waiting_oldest_seconds", "How long the oldest of them has waited.", waiting.oldest_s)
