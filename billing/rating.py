"""The arithmetic of money, and the only place that rounds. Pure: decimals and moments in, decimals out.

A machine's cost is a running total that grows from an origin. An interval costs the rounded total at its end minus the
rounded total at its start, so however it is split, the parts sum to the same cent. `billing_total` in the database
(`migrations/0003_laws.py`) is the twin of `total`, for statements over many rows; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

AMOUNT = Decimal("0.000001")
PRICE = Decimal("0.000000001")
ZERO = Decimal(0)
HOUR = timedelta(hours=1)
_US = timedelta(microseconds=1)
_US_PER_HOUR = HOUR // _US


def amount(value: Decimal) -> Decimal:
    """To the millionth of a dollar, halves away from zero."""
    return value.quantize(AMOUNT, ROUND_HALF_UP)


def told(value: Decimal) -> float:
    """Dollars as an event's details tell them: a JSON number of at most six places, as everywhere in the API."""
    return float(amount(value))


def price(value: Decimal) -> Decimal:
    """A price per hour as the rows keep it."""
    return value.quantize(PRICE, ROUND_HALF_UP)


def total(usd_per_hour: Decimal, origin: datetime, at: datetime) -> Decimal:
    """The rounded running total of a price from `origin` until `at`; nothing before the origin."""
    us = max((at - origin) // _US, 0)
    # In whole numbers: a quotient with a limited number of digits could round a half the wrong way.
    nano = int(price(usd_per_hour).scaleb(9))
    per_micro = 1000 * _US_PER_HOUR
    return Decimal((2 * nano * us + per_micro) // (2 * per_micro)).scaleb(-6)


def cost(usd_per_hour: Decimal, origin: datetime, start: datetime, end: datetime) -> Decimal:
    """What the window from `start` to `end` costs, of a price that runs since `origin`. A window that ends early costs nothing."""
    return max(total(usd_per_hour, origin, end) - total(usd_per_hour, origin, start), ZERO)


def charge_per_hour(usd_per_hour: Decimal, margin: Decimal) -> Decimal:
    """What the customer pays an hour: the price and our share on top."""
    return price(usd_per_hour * (1 + margin))


def rate_per_hour(base: Decimal, factors: Iterable[Decimal]) -> Decimal:
    """A price of the rate card."""
    for factor in factors:
        base *= factor
    return price(base)


def cuts(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The window in pieces: cut at every full UTC hour, and at the zone's midnights where those fall between."""
    while start < end:
        hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
        stop = min(end, hour, day_bounds(day_of(start, zone), zone)[1])
        yield start, stop
        start = stop


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When a day begins and ends, in UTC: 23 or 25 hours apart where clocks change."""
    begin, end = (
        datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + timedelta(days=1))
    )
    return begin, end


@dataclass(frozen=True, slots=True)
class Lot:
    """Credit of one grant: what is left, and until when it is good."""

    left: Decimal
    expires_at: datetime | None

    def less(self, usd: Decimal) -> Lot:
        return Lot(self.left - usd, self.expires_at)


def spend(lots: MutableMapping[int, Lot], usd: Decimal) -> Decimal:
    """Takes an amount off the lots, those that expire first before the others; returns what no lot could give."""
    for number in sorted(lots, key=lambda one: (lots[one].expires_at is None, lots[one].expires_at, one)):
        taken = min(lots[number].left, usd)
        lots[number] = lots[number].less(taken)
        usd -= taken
    return usd
