"""Small stocks and profiles for tests of the choice, and the same choice made naively, one offer after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emulators.profile import Floor, GpuTable, Preference, Profile, region_matches
from locations.distance import distance_km
from vms.placement import Stock, Wish
from vms.providers.base import Place, Sizes

DALLAS = (32.7767, -96.797)
JOPLIN, ORLANDO, WINNIPEG = (37.084, -94.513), (28.538, -81.379), (49.895, -97.138)
NOWHERE = (float("nan"), float("nan"))

LADDERS = Sizes(vcpus=range(2, 33, 2), ram_gb=range(2, 129, 2), disk_gb=range(50, 1001, 50))
SIZES = {"a": LADDERS, "b": LADDERS, "whole": Sizes(whole=True)}
GPUS = GpuTable((("1060", 10, ("gtx1060",)), ("3090", 40, ("rtx3090",)), ("4090", 50, ("rtx4090",))))
FLOOR = Floor(vcpus=4, ram_gb=8, disk_gb=100, gpus=1)


@dataclass(frozen=True)
class Row:
    """One offer of a small stock; what is not said is plenty."""

    kind: str = "a"
    account: int = 1
    at: tuple[float, float] = JOPLIN
    place: Place = field(default_factory=lambda: Place("us-joplin", "Joplin", "Missouri", "United States"))
    gpu: str = "geforcertx4090-pcie-24gb"
    gpus: int = 4
    min_gpus: int = 0
    vcpus: int = 32
    ram_gb: int = 128
    disk_gb: int = 1000
    usd: float = 0.0
    usd_per_gpu: float = 0.4
    usd_per_vcpu: float = 0.0
    usd_per_gb_ram: float = 0.0
    usd_per_gb_disk: float = 0.0
    usd_per_ip: float = 0.0
    has_ip: bool = True
    maps_ports: bool = False
    cools: bool = False
    tried: bool = False
    demoted: bool = False


def profile(*preferences: Preference, **changes: Any) -> Profile:
    """A console that needs 4 vCPUs, 8 GB, 100 GB and one GPU of the 3090's class, on kind `a` unless told otherwise."""
    known: dict[str, Any] = {
        "console": "switch",
        "preset": "mid",
        "floor": Floor(2, 4, 0, 1),
        "presets": {"mid": FLOOR, "big": Floor(8, 32, 500, 2)},
        "gpu_classes": {"": "3090"},
        "gpus": GPUS,
        "preferences": preferences or (Preference("a", 1),),
        "usd_per_hour_limit": None,
        "max_session_hours": 8,
    }
    return Profile(**{**known, **changes})


def stock(*rows: Row) -> Stock:
    kinds, gpus = sorted({row.kind for row in rows}), sorted({row.gpu for row in rows})
    places = sorted({row.place for row in rows}, key=repr)

    def ints(name: str) -> Any:
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)

    def floats(name: str) -> Any:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    def bools(name: str) -> Any:
        return np.array([getattr(row, name) for row in rows], dtype=bool)

    return Stock(
        kinds=kinds,
        places=places,
        gpu_models=gpus,
        kind=np.array([kinds.index(row.kind) for row in rows], dtype=np.int64),
        account=ints("account"),
        place=np.array([places.index(row.place) for row in rows], dtype=np.int64),
        gpu=np.array([gpus.index(row.gpu) for row in rows], dtype=np.int64),
        latitude=np.array([row.at[0] for row in rows], dtype=np.float64),
        longitude=np.array([row.at[1] for row in rows], dtype=np.float64),
        min_gpus=ints("min_gpus"),
        max_gpus=ints("gpus"),
        max_vcpus=ints("vcpus"),
        max_ram_gb=ints("ram_gb"),
        max_disk_gb=ints("disk_gb"),
        usd_per_hour=floats("usd"),
        usd_per_gpu=floats("usd_per_gpu"),
        usd_per_vcpu=floats("usd_per_vcpu"),
        usd_per_gb_ram=floats("usd_per_gb_ram"),
        usd_per_gb_disk=floats("usd_per_gb_disk"),
        usd_per_dedicated_ip=floats("usd_per_ip"),
        has_dedicated_ip=bools("has_ip"),
        maps_ports=bools("maps_ports"),
        is_cooling=bools("cools"),
        is_tried=bools("tried"),
        is_demoted=bools("demoted"),
    )


def naive_key(row: Row, wish: Wish) -> tuple[float, ...] | None:
    """What an offer is ordered by; None when it does not fit. After whether its account is demoted:

    priority, distance, price, or without a position priority, price, unplaced; by score: score, priority, distance, price,
    or without a position price, priority, unplaced.
    """
    if wish.provider and row.kind != wish.provider:
        return None
    known = {one.provider: one for one in wish.profile.preferences}
    preference = known.get(row.kind) or (Preference(row.kind, 0) if wish.provider else None)
    if preference is None or not preference.is_enabled:
        return None
    _, floor, least = wish.profile.demand(preference, wish.preset)
    price = naive_price(row, floor)
    if price is None or (floor.gpus and GPUS.rank_of_model(row.gpu) < least):
        return None
    limits = [
        one for one in (preference.usd_per_hour_limit, wish.profile.usd_per_hour_limit) if one is not None
    ]
    if not (row.has_ip or row.maps_ports) or any(price > float(limit) + 5e-10 for limit in limits):
        return None
    if preference.regions and not any(_is_in(row.place, entry) for entry in preference.regions):
        return None
    if row.tried or row.cools:
        return None
    is_placed, weight = row.at[0] == row.at[0], wish.profile.usd_per_1000_km
    if wish.position is None:
        settled = (preference.priority, price) if weight is None else (price, preference.priority)
        return row.demoted, *settled, not is_placed
    far = distance_km(wish.position, row.at) if is_placed else float("inf")
    if weight is None:
        return row.demoted, preference.priority, far, price
    score = price + float(weight) / 1000 * far if is_placed else far
    return row.demoted, score, preference.priority, far, price


def naive_price(row: Row, floor: Floor) -> float | None:
    """What the least legal size of an offer that meets the floor costs; None when it has none."""
    gpus = max(floor.gpus, row.min_gpus)
    if gpus > row.gpus or floor.vcpus > row.vcpus or floor.ram_gb > row.ram_gb or floor.disk_gb > row.disk_gb:
        return None
    sizes = SIZES[row.kind]
    if sizes.whole:
        gpus, vcpus, ram, disk = row.gpus, row.vcpus, row.ram_gb, row.disk_gb
    else:
        vcpus = next(one for one in sizes.vcpus if one >= floor.vcpus)
        ram = next(one for one in sizes.ram_gb if one >= floor.ram_gb)
        disk = next(one for one in sizes.disk_gb if one >= floor.disk_gb)
        if vcpus > row.vcpus or ram > row.ram_gb or disk > row.disk_gb:
            return None
    size = (
        gpus * row.usd_per_gpu
        + vcpus * row.usd_per_vcpu
        + ram * row.usd_per_gb_ram
        + disk * row.usd_per_gb_disk
    )
    return row.usd + size + (row.usd_per_ip if row.has_ip and not row.maps_ports else 0)


def _is_in(place: Place, entry: str) -> bool:
    return region_matches(
        entry, region=place.region, city=place.city, state=place.state, country=place.country
    )
