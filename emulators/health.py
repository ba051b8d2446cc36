"""What of this app `/health?full=1` looks at, by settings.HEALTH_CHECKS: whether saves find their way to the storage."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from emulators.services.storing import backlog
from gamer.web.health import Part

LATE_S = 600  # a live worker stores one within seconds; the storage may be away for a while


def saves(now: datetime) -> Iterable[Part]:
    """Nothing is lost while they wait: they are in the database."""
    waiting = backlog(now)
    problem = ""
    if waiting.oldest_s > LATE_S:
        why = waiting.last_error or "no worker stored it"
        problem = f"a save has waited for the storage for {waiting.oldest_s} s: {why}"
    figures = {"waiting": waiting.count, "waiting_bytes": waiting.bytes, "oldest_s": waiting.oldest_s}
    yield Part("saves", problem, figures)
