"""Placement: the pure ranking beside bare numpy and a geopy loop, and from rows to an explained ranking."""

from __future__ import annotations

import numpy as np
from django.utils import timezone

from bench.harness import claim, timed
from emulators.profile import Profile
from emulators.services import profile_for, seed
from locations.distance import EARTH_RADIUS_KM, distance_km
from vms import offers, placement
from vms.models import Offer, ProviderAccount
from vms.providers.base import Place

DALLAS = (32.7767, -96.797)
MANY, ROWS = 100_000, 5_000
GPUS = ("geforcertx4090-pcie-24gb", "geforcertx3090-pcie-24gb", "l4-pcie-24gb", "geforcegtx1070-pcie-8gb", "")


def stock(size: int) -> placement.Stock:
    """Offers all over the world, at 300 places, of five GPU models."""
    chance = np.random.default_rng(1)
    latitudes, longitudes = chance.uniform(-60, 70, 300), chance.uniform(-180, 180, 300)
    place = chance.integers(0, 300, size)
    ones = np.ones(size, dtype=np.int64)
    return placement.Stock(
        kinds=["tensordock"],
        places=[Place(f"region-{number}", f"City {number}", "", "Country") for number in range(300)],
        gpu_models=GPUS,
        kind=np.zeros(size, dtype=np.int64),
        account=ones,
        place=place,
        gpu=chance.integers(0, len(GPUS), size),
        latitude=latitudes[place],
        longitude=longitudes[place],
        min_gpus=np.zeros(size, dtype=np.int64),
        max_gpus=chance.integers(0, 8, size),
        max_vcpus=chance.integers(4, 64, size),
        max_ram_gb=chance.integers(8, 256, size),
        max_disk_gb=chance.integers(100, 2000, size),
        usd_per_hour=np.zeros(size),
        usd_per_gpu=chance.uniform(0.1, 2, size),
        usd_per_vcpu=np.full(size, 0.003),
        usd_per_gb_ram=np.full(size, 0.002),
        usd_per_gb_disk=np.full(size, 0.00005),
        usd_per_dedicated_ip=np.zeros(size),
        has_dedicated_ip=chance.random(size) < 0.8,
        maps_ports=np.zeros(size, dtype=bool),
        is_cooling=np.zeros(size, dtype=bool),
        is_tried=np.zeros(size, dtype=bool),
    )


def bare(offered: placement.Stock) -> int:
    """The reference: the same questions in as few numpy calls as they take, no reasons, great circles only."""
    price = (
        offered.usd_per_gpu
        + 8 * offered.usd_per_vcpu
        + 16 * offered.usd_per_gb_ram
        + 200 * offered.usd_per_gb_disk
    )
    fits = (
        (offered.max_gpus >= 1) & (offered.gpu == 0) & (offered.max_vcpus >= 8) & (offered.max_ram_gb >= 16)
        & (offered.max_disk_gb >= 200) & offered.has_dedicated_ip & (price <= 2.5)
    )  # fmt: skip
    latitudes, longitudes = np.radians(offered.latitude), np.radians(offered.longitude)
    here = np.radians(DALLAS[0]), np.radians(DALLAS[1])
    chord = (
        np.sin((latitudes - here[0]) / 2) ** 2
        + np.cos(latitudes) * np.cos(here[0]) * np.sin((longitudes - here[1]) / 2) ** 2
    )
    kilometres = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord))
    rows = np.flatnonzero(fits)
    return int(rows[np.lexsort((price[rows], kilometres[rows]))][0])


def geopy_loop(offered: placement.Stock, rows: np.ndarray) -> int:
    """What one would write first: the geodesic to each candidate, one after the other."""
    best = min(rows, key=lambda row: distance_km(DALLAS, (offered.latitude[row], offered.longitude[row])))
    return int(best)


def fill(size: int) -> None:
    offered = stock(size)
    account = ProviderAccount.objects.create(name="bench", kind="tensordock")
    now = timezone.now()
    Offer.objects.bulk_create(
        Offer(
            account=account, offer_id=f"offer-{row}", region=offered.places[offered.place[row]].region,
            city=offered.places[offered.place[row]].city, country="Country", latitude=offered.latitude[row],
            longitude=offered.longitude[row], gpu_model=GPUS[offered.gpu[row]], max_gpus=int(offered.max_gpus[row]),
            max_vcpus=int(offered.max_vcpus[row]), max_ram_gb=int(offered.max_ram_gb[row]),
            max_disk_gb=int(offered.max_disk_gb[row]), usd_per_gpu=round(float(offered.usd_per_gpu[row]), 4),
            usd_per_vcpu="0.003", usd_per_gb_ram="0.002", usd_per_gb_disk="0.00005",
            has_dedicated_ip=bool(offered.has_dedicated_ip[row]), refreshed_at=now,
        )
        for row in range(size)
    )  # fmt: skip


def explained(profile: Profile) -> placement.Ranking:
    shelf = offers.load(timezone.now())
    wish = placement.Wish(profile, *DALLAS)
    ranking = placement.rank(shelf.stock, wish, offers.sizes(), shelf.paused)
    for row in range(len(shelf.stock)):
        ranking.reason(row)
    return ranking


def main() -> None:
    seed(now=timezone.now())
    profile = profile_for(console="switch")
    offered = stock(MANY)
    wish = placement.Wish(profile, *DALLAS)
    ours = timed(lambda: placement.rank(offered, wish, offers.sizes()), repeats=15)
    reference = timed(lambda: bare(offered), repeats=15)
    ratio = ours.median / reference.median
    claim(
        f"rank {MANY:,} offers with reasons, beside bare numpy", f"{ours.median * 1000:.1f} ms = {ratio:.2f} x",
        against=f"{reference.median * 1000:.1f} ms; at most 3 x", holds=ratio <= 3,
    )  # fmt: skip
    ranking = placement.rank(offered, wish, offers.sizes())
    some = ranking.order[:: max(1, len(ranking.order) // 300)]
    loop = timed(lambda: geopy_loop(offered, some), repeats=3)
    whole = loop.median / len(some) * MANY
    claim(
        "the same by a geopy loop (extrapolated from a sample)",
        f"{whole:.1f} s",
        against=f"{whole / ours.median:,.0f} x slower",
    )
    winner, nearest = int(ranking.order[0]), geopy_loop(offered, ranking.order)
    same = offered.place[winner] == offered.place[nearest]
    claim("the winner is the geopy loop's", "yes" if same else "no", holds=bool(same))
    fill(ROWS)
    rows = timed(lambda: explained(profile), repeats=20)
    claim(
        f"from rows to an explained ranking, {ROWS:,} offers", f"p95 {rows.p95 * 1000:.0f} ms, median {rows.median * 1000:.0f} ms",
        against="at most 60 ms", holds=rows.p95 <= 0.060,
    )  # fmt: skip
