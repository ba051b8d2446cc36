"""The ledger's part of `/health?full=1`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from billing.services.proof import standing
from gamer.moments import written
from gamer.web.health import Part

LATE = timedelta(minutes=30)
UNPROVEN = timedelta(hours=50)  # two nights


def ledger(now: datetime) -> Iterable[Part]:
    """Well while the last proof found nothing broken, is recent, and full hours are being closed."""
    books = standing(now)
    open_minutes = int(books.open_for.total_seconds() // 60)
    problem = ""
    if books.broken:
        problem = f"broken: {'; '.join(books.broken)}"
    elif books.unproven_for > UNPROVEN:
        problem = (
            f"was last proven at {books.proven_at:%Y-%m-%d %H:%M} UTC"
            if books.proven_at
            else "was never proven"
        )
    elif books.open_for > timedelta(hours=1) + LATE:
        problem = f"an hour has been open for {open_minutes} minutes"
    figures = {
        "proven_at": written(books.proven_at) if books.proven_at is not None else None,
        "oldest_open_minutes": open_minutes,
    }
    yield Part("ledger", problem, figures)
