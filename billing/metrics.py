"""What of this app `/metrics` says, by settings.METRICS."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.services.proof import standing
from gamer.web.metrics import Figure


def figures(now: datetime) -> Iterable[Figure]:
    books = standing(now)
    yield Figure("ledger_broken", "Laws of money that the last proof found broken.", len(books.broken))
    yield Figure(
        "ledger_proven_age_seconds",
        "Since when the ledger was not proven, whatever the last proof found.",
        books.unproven_for.total_seconds(),
    )
    yield Figure(
        "oldest_open_hour_seconds",
        "How long the longest interval of a machine has been open; every full hour closes it.",
        books.open_for.total_seconds(),
    )
