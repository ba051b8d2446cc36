"""What could be had right now: hostnodes, places, and what a launch would pick. Reads rows, buys nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain

import numpy as np

from emulators.profile import Floor, GpuTable, Preference, Profile
from emulators.services import profile_for
from locations import distance
from locations.geocoding.names import fold
from vms import offers, placement, services
from vms.placement import Ranking, Stock, Why

LATER = "fits, after those that are shown"
SMALLEST = Floor(vcpus=1, ram_gb=1, disk_gb=1, gpus=0)


@dataclass(frozen=True, slots=True)
class Hostnode:
    """One offer that can be bought now. Memory in MB, disk in GB, degrees or None for both, the price of the size in question."""

    id: str
    provider: str
    city: str
    state: str
    region: str
    country: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    gpu_model: str
    gpu_count: int
    usd_per_hour: float
    latitude: float | None
    longitude: float | None

    @property
    def location_name(self) -> str:
        return ", ".join(part for part in (self.city, self.state, self.country) if part) or self.region


@dataclass(frozen=True, slots=True)
class CityCount:
    """How many hostnodes there are in a city, and which GPUs they have. `region` is "" where providers call it differently."""

    city: str
    state: str
    region: str
    hostnodes: int
    gpu_models: Sequence[str]


@dataclass(frozen=True, slots=True)
class CountryCount:
    """The same for a country and for each of its cities."""

    country: str
    hostnodes: int
    gpu_models: Sequence[str]
    cities: Sequence[CityCount]


@dataclass(frozen=True, slots=True)
class Summary:
    """Where hostnodes are, countries and cities in the order of their names."""

    total_hostnodes: int
    total_cities: int
    countries: Sequence[CountryCount]


@dataclass(frozen=True, slots=True)
class Option:
    """An offer that a launch may take and the size it would take; or so many offers that it may not or that come later, and why.

    `rank` is 1 for the one it would take and None for those that are only counted.
    """

    rank: int | None
    provider: str
    reason: str
    offers: int = 1
    hostnode: Hostnode | None = None
    choice: placement.Choice | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What a launch would pick: provider None when nobody can host it now, price None when none is known."""

    profile: Profile
    provider: str | None
    preset: str
    usd_per_hour: float | None
    options: Sequence[Option]


def hostnodes(*, console: str | None = None, min_gpus: int = 0, now: datetime) -> list[Hostnode]:
    """What can be bought now, the cheapest first: all of it in its smallest size, or for a console what a launch may take.

    Raises NotFound when the console is not configured.
    """
    shelf = offers.load(now)
    profile = plain_profile(shelf.stock, SMALLEST) if console is None else profile_for(console=console)
    floor = profile.floor.raised_to(replace(SMALLEST, gpus=min_gpus))
    wish = placement.Wish(replace(profile, floor=floor))
    ranking = placement.rank(shelf.stock, wish, offers.sizes(), shelf.paused)
    found = _hostnodes(shelf, ranking, ranking.order.tolist())
    return sorted(found, key=lambda node: (node.usd_per_hour, node.id))


def charged(node: Hostnode, share: Decimal) -> Hostnode:
    """The hostnode at what a customer pays for it, with that margin on top."""
    return replace(node, usd_per_hour=node.usd_per_hour * float(1 + share))


def charged_recommendation(found: Recommendation, share: Decimal) -> Recommendation:
    """The recommendation at what a customer pays; without scores, which tell what providers ask."""
    factor = float(1 + share)
    options = [
        replace(
            one,
            hostnode=one.hostnode and charged(one.hostnode, share),
            choice=one.choice
            and replace(one.choice, usd_per_hour=one.choice.usd_per_hour * factor, score=None),
        )
        for one in found.options
    ]
    price = found.usd_per_hour
    return replace(found, usd_per_hour=None if price is None else price * factor, options=options)


def nearest(
    nodes: Sequence[Hostnode], *, latitude: float, longitude: float, limit: int
) -> list[tuple[Hostnode, float | None]]:
    """The hostnodes nearest to a position with their distances in km; those that are on no map come last, with None."""
    lats = [np.nan if node.latitude is None else node.latitude for node in nodes]
    lons = [np.nan if node.longitude is None else node.longitude for node in nodes]
    found: list[tuple[Hostnode, float | None]] = []
    for index in distance.closest(latitude, longitude, lats, lons, limit=limit):
        kilometres = distance.distance_km((latitude, longitude), (lats[index], lons[index]))
        found.append((nodes[index], round(kilometres, 1)))
    unplaced = [(node, None) for node in nodes if node.latitude is None]
    return [*found, *unplaced][:limit]


def summary(nodes: Iterable[Hostnode]) -> Summary:
    """Hostnodes counted by country and city."""
    by_country: dict[str, dict[tuple[str, str], list[Hostnode]]] = defaultdict(lambda: defaultdict(list))
    for node in nodes:
        by_country[node.country][_city_of(node)].append(node)
    countries = [_country(name, cities) for name, cities in sorted(by_country.items())]
    return Summary(
        total_hostnodes=sum(country.hostnodes for country in countries),
        total_cities=sum(len(country.cities) for country in countries),
        countries=countries,
    )


def recommend(
    *, console: str, latitude: float | None = None, longitude: float | None = None, limit: int, now: datetime
) -> Recommendation:
    """What a launch of the console would pick, the next best up to `limit`, and why not the rest.

    Raises NotFound when the console is not configured.
    """
    profile = profile_for(console=console)
    order = services.Order(console=console, latitude=latitude, longitude=longitude)
    shelf, ranking = services.rank(order, profile, now)
    rows = ranking.order[:limit].tolist()
    choices = [ranking.choice(row) for row in rows]
    fitting = [
        Option(number, node.provider, placement.TEXTS[Why.FITS], 1, node, choice)
        for number, (node, choice) in enumerate(
            zip(_hostnodes(shelf, ranking, rows), choices, strict=True), start=1
        )
    ]
    provider = fitting[0].provider if fitting else None
    if not fitting and not shelf.is_refreshed(ranking.wish):
        provider = next((one.provider for one in profile.preferences if one.is_enabled), None)
    return Recommendation(
        profile=profile,
        provider=provider,
        preset=choices[0].preset if choices else profile.preset,
        usd_per_hour=choices[0].usd_per_hour if choices else None,
        options=[*fitting, *_counted(ranking, profile, len(rows))],
    )


def plain_profile(stock: Stock, floor: Floor) -> Profile:
    """A console that is content with this floor at every provider."""
    return Profile(
        console="",
        preset="",
        floor=floor,
        presets={"": floor},
        gpu_classes={},
        gpus=GpuTable(),
        preferences=tuple(Preference(kind, priority=1) for kind in stock.kinds),
        usd_per_hour_limit=None,
        max_session_hours=0,
    )


def _city_of(node: Hostnode) -> tuple[str, str]:
    """What makes a city one whoever writes it: Montréal is Montreal, and Tokyo in Tokyo is Tokyo."""
    city, state = fold(node.city), fold(node.state)
    return (city, "" if state == city else state) if city else (node.region, "")


def _country(name: str, cities: Mapping[tuple[str, str], Sequence[Hostnode]]) -> CountryCount:
    counts = [_city(nodes) for _, nodes in sorted(cities.items())]
    everywhere = list(chain.from_iterable(cities.values()))
    return CountryCount(name, len(everywhere), _gpu_models(everywhere), counts)


def _city(nodes: Sequence[Hostnode]) -> CityCount:
    regions = {node.region for node in nodes}
    return CityCount(
        city=nodes[0].city,
        state=next((node.state for node in nodes if node.state), ""),
        region=regions.pop() if len(regions) == 1 else "",
        hostnodes=len(nodes),
        gpu_models=_gpu_models(nodes),
    )


def _gpu_models(nodes: Iterable[Hostnode]) -> list[str]:
    return sorted({node.gpu_model for node in nodes if node.gpu_model})


def _hostnodes(shelf: offers.Shelf, ranking: Ranking, rows: Sequence[int]) -> list[Hostnode]:
    return [_hostnode(ranking, row, shelf.offer_ids[row]) for row in rows]


def _hostnode(ranking: Ranking, row: int, offer_id: str) -> Hostnode:
    stock = ranking.stock
    place = stock.places[int(stock.place[row])]
    is_placed = bool(np.isfinite(stock.latitude[row]))
    return Hostnode(
        id=offer_id,
        provider=stock.kinds[int(stock.kind[row])],
        city=place.city,
        state=place.state,
        region=place.region,
        country=place.country,
        vcpus=int(stock.max_vcpus[row]),
        ram_mb=int(stock.max_ram_gb[row]) * 1024,
        disk_gb=int(stock.max_disk_gb[row]),
        gpu_model=stock.gpu_models[int(stock.gpu[row])],
        gpu_count=int(stock.max_gpus[row]),
        usd_per_hour=float(ranking.usd_per_hour[row]),
        latitude=float(stock.latitude[row]) if is_placed else None,
        longitude=float(stock.longitude[row]) if is_placed else None,
    )


def _counted(ranking: Ranking, profile: Profile, shown: int) -> list[Option]:
    """Per provider and reason one line, in the order of the console's list: offers that fit and come after those that are
    shown, those that were turned down, and providers that offer nothing."""
    stock = ranking.stock
    priority = {one.provider: one.priority for one in profile.preferences}
    later = Counter(stock.kind[ranking.order[shown:]].tolist())
    lines = [Option(None, stock.kinds[kind], LATER, number) for kind, number in later.items()]
    counted = Counter(zip(stock.kind.tolist(), ranking.why.tolist(), strict=True))
    lines += [
        Option(rank=None, provider=stock.kinds[kind], reason=placement.TEXTS[Why(why)], offers=number)
        for (kind, why), number in counted.items()
        if why != Why.FITS
    ]
    for preference in profile.preferences:
        if preference.provider not in stock.kinds:
            reason = "offers nothing" if preference.is_enabled else placement.TEXTS[Why.PROVIDER_OFF]
            lines.append(Option(rank=None, provider=preference.provider, reason=reason, offers=0))
    return sorted(lines, key=lambda line: (priority.get(line.provider, len(priority) + 1), -line.offers))
