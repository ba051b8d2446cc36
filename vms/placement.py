"""Which offer a launch takes, and why not the others. Pure: arrays in, an order and reasons out.

The order of the questions: floors, public ports, cost limits, regions. What fits is ordered by priority, distance, price; or,
where staff say what a distance is worth, by a score of price and distance. Every offer that is turned down knows the first
question it failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from emulators.profile import Floor, Preference, Profile, region_matches
from locations import distance
from vms.providers.base import Place, Sizes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Great circles are off by up to 0.57 %, and a little where they are short: all that this may yet put first are put in order
# again by the geodesic, and so many of the best at least.
SHARE_OFF, KM_OFF = 0.006, 0.005
RECHECKED = 32
# So many reasons are named where a provider cannot host.
NAMED = 3


class Why(IntEnum):
    """The first question an offer failed, in the order they are asked: a higher number came closer. 0 for none."""

    FITS = 0
    NOT_ASKED = 1
    PROVIDER_OFF = 2
    GPU_MISSING = 3
    GPU_TOO_WEAK = 4
    CPU = 5
    RAM = 6
    DISK = 7
    NO_LEGAL_SIZE = 8
    PORTS = 9
    PRICE = 10
    REGION = 11
    PAUSED = 12
    TRIED = 13
    COOLING = 14
    ACCOUNT_FULL = 15
    OVER_QUOTA = 16


TEXTS: Mapping[Why, str] = {
    Why.FITS: "fits",
    Why.NOT_ASKED: "the launch asked for another provider",
    Why.PROVIDER_OFF: "the provider is not enabled for this console",
    Why.PAUSED: "the provider account is paused, rests after errors, or is over its budget",
    Why.GPU_MISSING: "has no GPU to give",
    Why.GPU_TOO_WEAK: "the GPU is below the class this console asks for",
    Why.CPU: "has too few vCPUs",
    Why.RAM: "has too little memory",
    Why.DISK: "has too little disk",
    Why.NO_LEGAL_SIZE: "the provider sells no size this large",
    Why.PORTS: "neither a dedicated IP nor a 1:1 port mapping, which Moonlight needs",
    Why.PRICE: "costs more than the limit",
    Why.REGION: "is not in an allowed region",
    Why.COOLING: "failed a moment ago and cools down",
    Why.TRIED: "was already tried for this launch",
    Why.ACCOUNT_FULL: "would pass a cap of the provider account",
    Why.OVER_QUOTA: "would pass a quota of the player, the project or the department",
}


@dataclass(frozen=True, slots=True)
class Stock:
    """Offers as columns, all of one length. Prices in USD per hour; unknown positions are NaN.

    `kind` and `place` index into `kinds` and `places`; `gpu` into `gpu_models`.
    """

    kinds: Sequence[str]
    places: Sequence[Place]
    gpu_models: Sequence[str]
    kind: Ints
    account: Ints
    place: Ints
    gpu: Ints
    latitude: Floats
    longitude: Floats
    min_gpus: Ints
    max_gpus: Ints
    max_vcpus: Ints
    max_ram_gb: Ints
    max_disk_gb: Ints
    usd_per_hour: Floats
    usd_per_gpu: Floats
    usd_per_vcpu: Floats
    usd_per_gb_ram: Floats
    usd_per_gb_disk: Floats
    usd_per_dedicated_ip: Floats
    has_dedicated_ip: Bools
    maps_ports: Bools
    is_cooling: Bools
    is_tried: Bools
    # Of an account whose orders keep failing: after all others, but not turned down.
    is_demoted: Bools | None = None

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Wish:
    """What this launch asks. A provider, preset or region named here is binding. Position in degrees, or None for both."""

    profile: Profile
    latitude: float | None = None
    longitude: float | None = None
    provider: str | None = None
    preset: str | None = None
    region: str = ""

    @property
    def position(self) -> tuple[float, float] | None:
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude, self.longitude

    def may_use(self, kind: str) -> bool:
        """Whether offers of this kind count at all. A provider named here needs no preference, but none that is switched off."""
        if self.provider and kind != self.provider:
            return False
        known = [one.is_enabled for one in self.profile.preferences if one.provider == kind]
        return all(known) if known else bool(self.provider)


@dataclass(frozen=True, slots=True)
class Choice:
    """One offer in the size that would be bought. `row` is its position in the stock.

    `score` is USD per hour: the price, and what its distance is worth. None where no score decides, or on no map.
    """

    row: int
    preset: str
    gpus: int
    vcpus: int
    ram_gb: int
    disk_gb: int
    usd_per_hour: float
    distance_km: float | None
    score: float | None = None


@dataclass(slots=True)
class Ranking:
    """All offers, judged. `order` holds the rows that fit, best first."""

    stock: Stock
    wish: Wish
    order: Ints
    why: npt.NDArray[np.int8]
    usd_per_hour: Floats
    distance_km: Floats
    _gpus: Ints
    _vcpus: Ints
    _ram_gb: Ints
    _disk_gb: Ints
    _presets: dict[int, str]
    has_position: bool
    limits: dict[int, float] = field(default_factory=dict)
    usd_per_km: float | None = None

    def choice(self, row: int) -> Choice:
        known = self.has_position and np.isfinite(self.distance_km[row])
        return Choice(
            row=row,
            preset=self._presets.get(int(self.stock.kind[row]), ""),
            gpus=int(self._gpus[row]),
            vcpus=int(self._vcpus[row]),
            ram_gb=int(self._ram_gb[row]),
            disk_gb=int(self._disk_gb[row]),
            usd_per_hour=float(self.usd_per_hour[row]),
            distance_km=round(float(self.distance_km[row]), 1) if known else None,
            score=self._score(row),
        )

    def _score(self, row: int) -> float | None:
        if self.usd_per_km is None:
            return None
        kilometres = float(self.distance_km[row]) if self.has_position else 0.0
        score = float(self.usd_per_hour[row]) + self.usd_per_km * kilometres
        return score if np.isfinite(score) else None

    def reason(self, row: int) -> str:
        """Why an offer was turned down, in words; "fits" when it was not."""
        why = Why(int(self.why[row]))
        if why is Why.PRICE:
            limit = self.limits[int(self.stock.kind[row])]
            return f"costs over the limit of ${limit:.2f} an hour"
        return TEXTS[why]

    def reasons_by_kind(self) -> dict[str, str]:
        """One line per provider kind that cannot host: its reasons, those that came closest first, with their offers."""
        lines: dict[str, str] = {}
        for index, kind in enumerate(self.stock.kinds):
            counts = np.bincount(self.why[self.stock.kind == index], minlength=len(Why))
            if counts[Why.FITS] == 0 and counts.any():
                reasons = [(Why(int(why)), int(counts[why])) for why in np.flatnonzero(counts)[::-1][:NAMED]]
                lines[kind] = "; ".join(f"{count} × {TEXTS[why]}" for why, count in reasons)
        return lines


def rank(
    stock: Stock,
    wish: Wish,
    sizes: Mapping[str, Sizes],
    paused: frozenset[int] = frozenset(),
    full: frozenset[int] = frozenset(),
) -> Ranking:
    """Judges and orders the whole stock. `sizes` by provider kind; `paused` and `full` are account ids."""
    judge = _Judge(stock, wish)
    for index, kind in enumerate(stock.kinds):
        judge.judge_kind(index, kind, sizes.get(kind, Sizes(whole=True)))
    judge.fail(np.isin(stock.account, list(paused)), Why.PAUSED)
    judge.fail(stock.is_tried, Why.TRIED)
    judge.fail(stock.is_cooling, Why.COOLING)
    judge.fail(np.isin(stock.account, list(full)), Why.ACCOUNT_FULL)
    return judge.finish()


def _is_in(place: Place, regions: Sequence[str]) -> bool:
    return any(
        region_matches(entry, region=place.region, city=place.city, state=place.state, country=place.country)
        for entry in regions
    )


class _Judge:
    """The columns while they are being judged."""

    def __init__(self, stock: Stock, wish: Wish) -> None:
        size = len(stock)
        self.stock, self.wish = stock, wish
        self.here = wish.position
        weight = wish.profile.usd_per_1000_km
        self.usd_per_km = None if weight is None else float(weight) / 1000
        self.is_demoted = np.zeros(size, dtype=bool) if stock.is_demoted is None else stock.is_demoted
        self.why = np.zeros(size, dtype=np.int8)
        self.price = np.zeros(size)
        self.priority = np.full(size, np.iinfo(np.int32).max, dtype=np.int64)
        self.gpus, self.vcpus = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self.ram_gb, self.disk_gb = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self.presets: dict[int, str] = {}
        self.limits: dict[int, float] = {}
        profile = wish.profile
        self.preferences = {preference.provider: preference for preference in profile.preferences}
        self.ranks = np.array(
            [profile.gpus.rank_of_model(model) for model in stock.gpu_models], dtype=np.int64
        )

    def fail(self, mask: Bools, why: Why) -> None:
        """Turns down the offers of a mask that nothing else has turned down."""
        self.why[mask & (self.why == Why.FITS)] = why

    def judge_kind(self, index: int, kind: str, sizes: Sizes) -> None:
        mine = self.stock.kind == index
        if self.wish.provider and kind != self.wish.provider:
            self.fail(mine, Why.NOT_ASKED)
            return
        if not self.wish.may_use(kind):
            self.fail(mine, Why.PROVIDER_OFF)
            return
        preference = self.preferences.get(kind) or Preference(provider=kind, priority=0)
        preset, floor, least_rank = self.wish.profile.demand(preference, self.wish.preset)
        self.presets[index] = preset
        self.priority[mine] = preference.priority
        self._judge_floors(mine, floor, least_rank)
        self._size(mine, floor, sizes)
        self.fail(mine & ~(self.stock.has_dedicated_ip | self.stock.maps_ports), Why.PORTS)
        self._judge_price(mine, index, preference)
        for regions in filter(None, (preference.regions, (self.wish.region,) if self.wish.region else ())):
            fitting = np.array(
                [_is_in(place, regions) for place in self.stock.places],
                dtype=bool,
            )
            self.fail(mine & ~fitting[self.stock.place], Why.REGION)

    def _judge_floors(self, mine: Bools, floor: Floor, least_rank: int) -> None:
        stock = self.stock
        gpus = np.maximum(floor.gpus, stock.min_gpus)
        self.gpus[mine] = gpus[mine]
        self.fail(mine & (stock.max_gpus < gpus), Why.GPU_MISSING)
        if floor.gpus and len(self.ranks):
            self.fail(mine & (self.ranks[stock.gpu] < least_rank), Why.GPU_TOO_WEAK)
        self.fail(mine & (stock.max_vcpus < floor.vcpus), Why.CPU)
        self.fail(mine & (stock.max_ram_gb < floor.ram_gb), Why.RAM)
        self.fail(mine & (stock.max_disk_gb < floor.disk_gb), Why.DISK)

    def _size(self, mine: Bools, floor: Floor, sizes: Sizes) -> None:
        """The size bought: the vendor's next legal one, or the whole offer."""
        stock = self.stock
        if sizes.whole:
            self.gpus[mine], self.vcpus[mine] = stock.max_gpus[mine], stock.max_vcpus[mine]
            self.ram_gb[mine], self.disk_gb[mine] = stock.max_ram_gb[mine], stock.max_disk_gb[mine]
            return
        for column, ladder, least, most, why in (
            (self.vcpus, sizes.vcpus, floor.vcpus, stock.max_vcpus, Why.CPU),
            (self.ram_gb, sizes.ram_gb, floor.ram_gb, stock.max_ram_gb, Why.RAM),
            (self.disk_gb, sizes.disk_gb, floor.disk_gb, stock.max_disk_gb, Why.DISK),
        ):
            legal = Sizes.at_least(ladder, least)
            if legal is None:
                self.fail(mine, Why.NO_LEGAL_SIZE)
                continue
            column[mine] = legal
            self.fail(mine & (most < legal), why)

    def _judge_price(self, mine: Bools, index: int, preference: Preference) -> None:
        stock = self.stock
        price = (
            stock.usd_per_hour
            + self.gpus * stock.usd_per_gpu
            + self.vcpus * stock.usd_per_vcpu
            + self.ram_gb * stock.usd_per_gb_ram
            + self.disk_gb * stock.usd_per_gb_disk
            + np.where(stock.has_dedicated_ip & ~stock.maps_ports, stock.usd_per_dedicated_ip, 0.0)
        )
        self.price[mine] = price[mine]
        limits = [
            limit
            for limit in (preference.usd_per_hour_limit, self.wish.profile.usd_per_hour_limit)
            if limit is not None
        ]
        if limits:
            self.limits[index] = float(min(limits))
            # Half a nano-dollar of grace, so that a price exactly at the limit is not lost to binary fractions.
            self.fail(mine & (self.price > self.limits[index] + 5e-10), Why.PRICE)

    def finish(self) -> Ranking:
        kilometres = np.full(len(self.stock), np.nan)
        if self.here is not None:
            kilometres = distance.distances_km(*self.here, self.stock.latitude, self.stock.longitude)
        order = self._ordered(np.flatnonzero(self.why == Why.FITS), kilometres)
        if self.here is not None and len(order):
            order = self._recheck(order, kilometres, self.here)
        return Ranking(
            self.stock, self.wish, order, self.why, self.price, kilometres, self.gpus, self.vcpus, self.ram_gb,
            self.disk_gb, self.presets, self.here is not None, self.limits, self.usd_per_km,
        )  # fmt: skip

    def _ordered(self, rows: Ints, kilometres: Floats) -> Ints:
        """The rows, best first; those of demoted accounts after all others, those on no map after their like.

        Offers of one city differ by price, not by metres: the gazetteer gives them one position, so ties are exact.
        """
        price, priority, demoted = self.price[rows], self.priority[rows], self.is_demoted[rows]
        if self.here is None:
            unplaced = np.isnan(self.stock.latitude[rows])
            last, first = (priority, price) if self.usd_per_km is not None else (price, priority)
            return rows[np.lexsort((unplaced, last, first, demoted))]
        unplaced = np.isnan(kilometres[rows])
        far = np.where(unplaced, np.inf, kilometres[rows])
        if self.usd_per_km is None:
            return rows[np.lexsort((price, far, priority, demoted))]
        score = np.where(unplaced, np.inf, self._worth(rows, kilometres[rows]))
        return rows[np.lexsort((price, far, priority, score, demoted))]

    def _worth(self, rows: Ints, kilometres: Floats) -> Floats:
        """What is to be small once priorities are settled: the distance, or the score."""
        return kilometres if self.usd_per_km is None else self.price[rows] + self.usd_per_km * kilometres

    def _recheck(self, order: Ints, kilometres: Floats, here: tuple[float, float]) -> Ints:
        """Puts the best in exact order: what is shown is the geodesic, and the winner must be its winner."""
        at_least = self._worth(order, kilometres[order] * (1 - SHARE_OFF) - KM_OFF)
        best_at_most = self._worth(order[:1], kilometres[order[:1]] * (1 + SHARE_OFF) + KM_OFF)
        may_win = (at_least <= best_at_most) & (self.is_demoted[order] == self.is_demoted[order[0]])
        if self.usd_per_km is None:
            may_win &= self.priority[order] == self.priority[order[0]]
        head = order[: max(RECHECKED, 1 + int(np.flatnonzero(may_win).max(initial=-1)))]
        placed = head[np.isfinite(kilometres[head])]
        # As complex numbers, positions are distinct in one pass.
        spots, spot = np.unique(
            self.stock.latitude[placed] + 1j * self.stock.longitude[placed], return_inverse=True
        )
        exact = [distance.distance_km(here, (float(one.real), float(one.imag))) for one in spots]
        kilometres[placed] = np.array(exact, dtype=np.float64)[spot]
        return np.concatenate([self._ordered(head, kilometres), order[len(head) :]])
