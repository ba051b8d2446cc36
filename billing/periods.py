"""Days and months of money, in the zone it is counted in. Pure."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.rating import day_bounds, day_of

LONGEST_DAYS = 365
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both ends included, in a zone."""

    start: date
    end: date
    zone: ZoneInfo

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def starts_at(self) -> datetime:
        return day_bounds(self.start, self.zone)[0]

    @property
    def ends_at(self) -> datetime:
        """The first moment after it."""
        return day_bounds(self.end, self.zone)[1]

    def each(self) -> list[date]:
        return [self.start + number * DAY for number in range(self.days)]


def last_days(days: int, now: datetime, zone: ZoneInfo) -> Period:
    """Today and the days before it, so many in all."""
    today = day_of(now, zone)
    return Period(today - (days - 1) * DAY, today, zone)


def month_of(day: date, zone: ZoneInfo) -> Period:
    """The whole month a day is in."""
    last = monthrange(day.year, day.month)[1]
    return Period(day.replace(day=1), day.replace(day=last), zone)


def month_so_far(now: datetime, zone: ZoneInfo) -> Period:
    today = day_of(now, zone)
    return Period(today.replace(day=1), today, zone)


def share_gone(period: Period, now: datetime) -> Decimal:
    """How much of a period is over, from 0 to 1; what is left grows by what went before."""
    whole = (period.ends_at - period.starts_at) // timedelta(microseconds=1)
    gone = (min(max(now, period.starts_at), period.ends_at) - period.starts_at) // timedelta(microseconds=1)
    return Decimal(gone) / Decimal(whole)
