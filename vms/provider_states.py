"""How every kind of provider is doing: what it can do, where, at which prices, with which accounts. From rows alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import numpy as np

from emulators.models import Preset, ProviderKind
from emulators.services.profiles import size_of
from locations.models import Region
from vms import offers, placement
from vms.discovery import plain_profile
from vms.health import Condition, condition_of
from vms.models import ProviderAccount
from vms.placement import Stock, Why
from vms.providers import registry
from vms.providers.base import Suspendable


@dataclass(frozen=True, slots=True)
class RegionState:
    """A place where a provider rents out machines, and how many offers it has there now."""

    code: str
    city: str
    state: str
    country: str
    offers: int


@dataclass(frozen=True, slots=True)
class ProviderState:
    """One kind of provider: what it can do, where, at which prices, and how its accounts are."""

    kind: str
    display_name: str
    capabilities: Sequence[str]
    accounts: int
    healthy_accounts: int
    condition: Condition | None
    offers_refreshed_at: datetime | None
    offers: int
    regions: Sequence[RegionState]
    cheapest_usd_per_hour: float | None
    dearest_usd_per_hour: float | None


def charged(state: ProviderState, share: Decimal) -> ProviderState:
    """The provider at what a customer pays, with that margin on top."""
    low, high = (
        None if price is None else price * float(1 + share)
        for price in (state.cheapest_usd_per_hour, state.dearest_usd_per_hour)
    )
    return replace(state, cheapest_usd_per_hour=low, dearest_usd_per_hour=high)


def providers(now: datetime) -> list[ProviderState]:
    """Every kind of provider, with or without an account, in five queries however many offers there are."""
    stock = offers.load(now).stock
    listed: dict[str, list[Region]] = defaultdict(list)
    for region in Region.objects.listed():
        listed[region.kind].append(region)
    accounts: dict[str, list[ProviderAccount]] = defaultdict(list)
    for account in ProviderAccount.objects.defer("credentials"):
        accounts[account.kind].append(account)
    prices = _price_range(stock)
    return [
        _provider_state(
            kind, accounts[kind], _regions(kind, stock, listed[kind]), prices.get(kind.value), now
        )
        for kind in ProviderKind
        if accounts[kind] or kind is not ProviderKind.MEMORY
    ]


def _price_range(stock: Stock) -> dict[str, tuple[float, float]]:
    """Per kind what the cheapest offer costs in the smallest preset it has room for, and the dearest in the largest."""
    found: dict[str, list[float]] = defaultdict(list)
    for preset in Preset.objects.all():
        wish = placement.Wish(plain_profile(stock, size_of(preset)))
        ranking = placement.rank(stock, wish, offers.sizes())
        for index, kind in enumerate(stock.kinds):
            prices = ranking.usd_per_hour[(stock.kind == index) & (ranking.why == Why.FITS)]
            if len(prices):
                found[kind] += [float(prices.min()), float(prices.max())]
    return {kind: (min(prices), max(prices)) for kind, prices in found.items()}


def _provider_state(
    kind: ProviderKind,
    accounts: Sequence[ProviderAccount],
    regions: Sequence[RegionState],
    prices: tuple[float, float] | None,
    now: datetime,
) -> ProviderState:
    conditions = [condition_of(account, now) for account in accounts]
    refreshed = [account.offers_refreshed_at for account in accounts if account.offers_refreshed_at]
    return ProviderState(
        kind=kind.value,
        display_name=str(kind.label),
        capabilities=_capabilities(kind),
        accounts=len(accounts),
        healthy_accounts=conditions.count(Condition.HEALTHY),
        condition=min(conditions, key=list(Condition).index, default=None),
        offers_refreshed_at=max(refreshed, default=None),
        offers=sum(region.offers for region in regions),
        regions=regions,
        cheapest_usd_per_hour=prices[0] if prices else None,
        dearest_usd_per_hour=prices[1] if prices else None,
    )


def _regions(kind: str, stock: Stock, listed: Sequence[Region]) -> list[RegionState]:
    """Where offers are, and the listed regions where there are none now, by code."""
    mine = stock.kind == stock.kinds.index(kind) if kind in stock.kinds else np.zeros(len(stock), dtype=bool)
    places, counts = np.unique(stock.place[mine], return_counts=True)
    found = [
        RegionState(place.region, place.city, place.state, place.country, int(number))
        for place, number in zip((stock.places[int(index)] for index in places), counts, strict=True)
    ]
    codes = {region.code for region in found}
    found += [
        RegionState(region.code, region.city, region.state, region.country, 0)
        for region in listed
        if region.code not in codes
    ]
    return sorted(found, key=lambda region: region.code)


def _capabilities(kind: str) -> list[str]:
    """What can be done with machines of a kind: nothing at all before there is an adapter for it."""
    adapter = registry.KINDS.get(kind)
    if adapter is None:
        return []
    powers = {
        "launch": True,
        "stop_start": issubclass(adapter, Suspendable),
        "pinned_host_key": adapter.pins_host_key,
        "setup_by_ssh": adapter.needs_setup and adapter.has_shell,
    }
    return [name for name, has_it in powers.items() if has_it]
