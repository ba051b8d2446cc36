"""Which versions of a slot are kept: the newest ones, and of the last weeks one a day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

Version = tuple[int, datetime]


def kept(versions: Iterable[Version], *, newest: int, days: int, now: datetime) -> set[int]:
    """The numbers to keep of (number, when): the `newest` highest, and each UTC day's highest of the last `days` days."""
    descending = sorted(versions, reverse=True)
    numbers = {number for number, _ in descending[:newest]}
    since = now - timedelta(days=days)
    of_day: dict[date, int] = {}
    for number, at in descending:
        if at >= since:
            of_day.setdefault(at.astimezone(UTC).date(), number)
    return numbers | set(of_day.values())
