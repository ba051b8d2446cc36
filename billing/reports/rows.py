"""A line of a report, and what can be told from it. Pure."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from billing.rating import amount

HOUR_US = Decimal(3_600_000_000)
PLACES = Decimal("0.000001")

Key = str | int | date | None


class Row(NamedTuple):
    """The figures of one group. `keys` are its values, in the order of `group_by`; ids have their names in `names`.

    Provider's money: `cost_usd` for `provider_us` microseconds. Customers': `charge_usd` for `charged_us`.
    """

    keys: tuple[Key, ...]
    vms: int
    running_us: int
    charged_us: int
    stopped_us: int
    storage_us: int
    cost_usd: Decimal
    charge_usd: Decimal
    saved_usd: Decimal
    names: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[int, int, int, int, Decimal, Decimal, Decimal]:
        """The seven sums."""
        return self[2:-1]

    @property
    def provider_us(self) -> int:
        """How long providers billed machines: running, or stopped and kept."""
        return self.running_us + self.stopped_us

    @property
    def provider_hours(self) -> Decimal:
        return hours(self.provider_us)

    @property
    def charged_hours(self) -> Decimal:
        return hours(self.charged_us)

    @property
    def margin_usd(self) -> Decimal:
        return self.charge_usd - self.cost_usd

    @property
    def cost_per_play_hour(self) -> Decimal | None:
        """What an hour somebody could play has cost us; None when nobody could."""
        return amount(self.cost_usd * HOUR_US / self.charged_us) if self.charged_us else None


def hours(us: int) -> Decimal:
    return (Decimal(us) / HOUR_US).quantize(PLACES)
