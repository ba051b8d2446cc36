"""What a launch asks, and whether anybody can host it. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal

from billing import rating
from billing.services import prices
from emulators.profile import Profile
from emulators.services import demand_file
from gamer.errors import NoCapacity, Unavailable, bad_field
from vms import installation, offers, placement
from vms.providers import registry
from vms.quotas import Use

Without = frozenset[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Order:
    """What a launch asks. `provider`, `preset` and `region` are binding when given; the position is whole or absent."""

    console: str
    game_id: str = ""
    save_id: str = ""
    name: str = ""
    provider: str = ""
    preset: str = ""
    region: str = ""
    latitude: float | None = None
    longitude: float | None = None
    auto_stop_timeout: int = 900
    project_id: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a new VM will hold at least: the price of the cheapest fitting offer, or None when no offer is known."""

    gpus: int
    usd_per_hour: Decimal | None

    def use_at(self, now: datetime) -> Use:
        """What quotas count of it, and what is put aside: the customer's price."""
        return Use(1, int(self.gpus > 0), prices.charge_of(self.usd_per_hour or Decimal(0), now))


def check(order: Order, profile: Profile, now: datetime, *, without: Without = frozenset()) -> Quote:
    """Refuses what cannot be hosted, before anything is written. Offers too old to trust refuse nothing, and quote nothing."""
    demand_file(console=order.console, game_id=order.game_id)
    demand_launching()
    if order.preset:
        floor = profile.presets.get(order.preset)
        if floor is None:
            raise bad_field(
                "preset",
                f"there is no preset {order.preset!r}; there are {', '.join(sorted(profile.presets))}",
            )
        if floor.raised_to(profile.floor) != floor:
            raise bad_field("preset", f"{order.preset} is below what this console needs")
    if order.provider and order.provider not in registry.KINDS:
        raise NoCapacity(
            f"There is no adapter for {order.provider} yet.", details={order.provider: ["not available"]}
        )
    shelf, ranking = rank(order, profile, now, without=without)
    if len(ranking.order):
        return _quote(ranking)
    if not shelf.is_fresh(ranking.wish):
        return Quote(profile.floor.gpus, None)
    reasons = ranking.reasons_by_kind()
    if order.provider and order.provider not in reasons:
        reasons = {order.provider: "has no offers"}
    raise NoCapacity(
        "No provider can host this console now.",
        details={kind: [text] for kind, text in reasons.items()}
        or {"providers": ["no provider account offers anything"]},
    )


def demand_launching() -> None:
    """Refuses to make new machines while staff have switched that off."""
    if not installation.is_launching():
        raise Unavailable("New launches are switched off for the moment. Existing machines go on.")


def _quote(ranking: placement.Ranking) -> Quote:
    """The cheapest offer that fits, rounded up: whatever dearer is placed later is let in again before."""
    cheapest = ranking.choice(int(min(ranking.order, key=lambda row: float(ranking.usd_per_hour[row]))))
    price = rating.price(Decimal(cheapest.usd_per_hour))  # without what a float adds to a decimal
    return Quote(cheapest.gpus, price.quantize(rating.AMOUNT, ROUND_UP))


def rank(
    order: Order, profile: Profile, now: datetime, *, without: Without = frozenset()
) -> tuple[offers.Shelf, placement.Ranking]:
    """What a launch would pick at this moment, and why not the rest. Buys nothing. `without` names (account id, offer id)."""
    shelf = offers.load(now, tried=without)
    wish = placement.Wish(
        profile, order.latitude, order.longitude, order.provider or None, order.preset or None, order.region
    )
    return shelf, placement.rank(shelf.stock, wish, offers.sizes(), shelf.paused)
