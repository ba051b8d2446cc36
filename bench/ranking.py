"""Placement: the pure ranking beside bare numpy and a geopy loop, and from rows to an explained ranking.

Once over 100,000 offers of one provider, once over 10,000 of each of six, provider by provider and by score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

import numpy as np
from django.db import connection
from django.utils import timezone

from bench.harness import claim, timed
from emulators.profile import Profile
from emulators.services import profile_for, seed
from locations.distance import EARTH_RADIUS_KM, distance_km
from vms import offers, placement
from vms.models import Offer, ProviderAccount
from vms.providers.base import Place

DALLAS = (32.7767, -96.797)
MANY, ROWS, EACH = 100_000, 5_000, 10_000
KINDS = (
    "tensordock",
    "cloudypad_gcp",
    "cloudypad_aws",
    "cloudypad_azure",
    "cloudypad_scaleway",
    "cloudypad_paperspace",
)
WORTH = Decimal("0.25")
GPUS = ("geforcertx4090-pcie-24gb", "geforcertx3090-pcie-24gb", "l4-pcie-24gb", "geforcegtx1070-pcie-8gb", "")


def stock(each: int, kinds: Sequence[str] = KINDS[:1]) -> placement.Stock:
    """So many offers of each kind all over the world, at 300 places, of five GPU models. Clouds sell whole machines."""
    chance, size = np.random.default_rng(1), each * len(kinds)
    latitudes, longitudes = chance.uniform(-60, 70, 300), chance.uniform(-180, 180, 300)
    place, kind = chance.integers(0, 300, size), np.repeat(np.arange(len(kinds)), each)
    units = kind == 0
    return placement.Stock(
        kinds=kinds,
        places=[Place(f"region-{number}", f"City {number}", "", "Country") for number in range(300)],
        gpu_models=GPUS,
        kind=kind,
        account=kind + 1,
        place=place,
        gpu=chance.integers(0, len(GPUS), size),
        latitude=latitudes[place],
        longitude=longitudes[place],
        min_gpus=np.zeros(size, dtype=np.int64),
        max_gpus=chance.integers(0, 8, size),
        max_vcpus=chance.integers(4, 64, size),
        max_ram_gb=chance.integers(8, 256, size),
        max_disk_gb=chance.integers(100, 2000, size),
        usd_per_hour=np.where(units, 0, chance.uniform(0.1, 4, size)).round(4),
        usd_per_gpu=np.where(units, chance.uniform(0.1, 2, size), 0).round(4),
        usd_per_vcpu=np.where(units, 0.003, 0),
        usd_per_gb_ram=np.where(units, 0.002, 0),
        usd_per_gb_disk=np.where(units, 0.00005, 0),
        usd_per_dedicated_ip=np.zeros(size),
        has_dedicated_ip=chance.random(size) < 0.8,
        maps_ports=np.zeros(size, dtype=bool),
        is_cooling=np.zeros(size, dtype=bool),
        is_tried=np.zeros(size, dtype=bool),
    )


def bare(offered: placement.Stock, usd_per_km: float | None = None) -> int:
    """The reference: the same questions in as few numpy calls as they take, no reasons, great circles only."""
    price = (
        offered.usd_per_hour
        + offered.usd_per_gpu
        + 8 * offered.usd_per_vcpu
        + 16 * offered.usd_per_gb_ram
        + 200 * offered.usd_per_gb_disk
    )
    is_cloud = offered.kind > 0
    fits = (
        (offered.max_gpus >= 1) & (is_cloud | (offered.gpu == 0)) & (offered.max_vcpus >= 8) & (offered.max_ram_gb >= 16)
        & (offered.max_disk_gb >= 200) & offered.has_dedicated_ip & (price <= np.where(is_cloud, 3, 2.5))
    )  # fmt: skip
    latitudes, longitudes = np.radians(offered.latitude), np.radians(offered.longitude)
    here = np.radians(DALLAS[0]), np.radians(DALLAS[1])
    chord = (
        np.sin((latitudes - here[0]) / 2) ** 2
        + np.cos(latitudes) * np.cos(here[0]) * np.sin((longitudes - here[1]) / 2) ** 2
    )
    kilometres = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord))
    rows = np.flatnonzero(fits)
    if usd_per_km is not None:
        return int(rows[np.lexsort((price[rows], price[rows] + usd_per_km * kilometres[rows]))][0])
    return int(rows[np.lexsort((price[rows], kilometres[rows], offered.kind[rows]))][0])


def geopy_loop(offered: placement.Stock, rows: np.ndarray) -> int:
    """What one would write first: the geodesic to each candidate, one after the other."""
    best = min(rows, key=lambda row: distance_km(DALLAS, (offered.latitude[row], offered.longitude[row])))
    return int(best)


def fill(offered: placement.Stock) -> None:
    """The stock as rows of one account for each kind."""
    now = timezone.now()
    accounts = [ProviderAccount.objects.create(name=kind, kind=kind) for kind in offered.kinds]
    ProviderAccount.objects.update(offers_refreshed_at=now)
    Offer.objects.bulk_create(
        (
            Offer(
                account=accounts[offered.kind[row]], offer_id=f"offer-{row}", region=offered.places[offered.place[row]].region,
                city=offered.places[offered.place[row]].city, country="Country", latitude=offered.latitude[row],
                longitude=offered.longitude[row], gpu_model=GPUS[offered.gpu[row]], max_gpus=int(offered.max_gpus[row]),
                max_vcpus=int(offered.max_vcpus[row]), max_ram_gb=int(offered.max_ram_gb[row]),
                max_disk_gb=int(offered.max_disk_gb[row]), has_dedicated_ip=bool(offered.has_dedicated_ip[row]), refreshed_at=now,
                **{name: str(getattr(offered, name)[row]) for name in offers.PRICES},
            )
            for row in range(len(offered))
        ),
        batch_size=5000,
    )  # fmt: skip


def explained(profile: Profile) -> placement.Ranking:
    """What a launch does: rows to columns, the ranking, and a reason for each."""
    shelf = offers.load(timezone.now())
    wish = placement.Wish(profile, *DALLAS)
    ranking = placement.rank(shelf.stock, wish, offers.sizes(), shelf.paused)
    for row in range(len(shelf.stock)):
        ranking.reason(row)
    return ranking


def fetched() -> int:
    """The reference for rows: the same columns as a bare cursor gives them, and nothing made of them."""
    names = ", ".join((*offers.COLUMNS, *(f"{price}::float8" for price in offers.PRICES)))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM vms_offer ORDER BY id")
        return len(cursor.fetchall())


def beside_numpy(offered: placement.Stock, profile: Profile, what: str) -> None:
    worth = profile.usd_per_1000_km
    ours = timed(
        lambda: placement.rank(offered, placement.Wish(profile, *DALLAS), offers.sizes()), repeats=15
    )
    reference = timed(partial(bare, offered, None if worth is None else float(worth) / 1000), repeats=15)
    ratio = ours.median / reference.median
    claim(
        f"rank {what}, beside bare numpy", f"{ours.median * 1000:.1f} ms = {ratio:.2f} x",
        against=f"{reference.median * 1000:.1f} ms; at most 3 x", holds=ratio <= 3,
    )  # fmt: skip


def six_kinds(profile: Profile) -> None:
    offered = stock(EACH, KINDS)
    weighed = replace(profile, usd_per_1000_km=WORTH)
    beside_numpy(offered, profile, f"6 x {EACH:,} offers by priority")
    beside_numpy(offered, weighed, f"6 x {EACH:,} offers by score")
    for one, usd_per_km in ((profile, None), (weighed, float(WORTH) / 1000)):
        ranking = placement.rank(offered, placement.Wish(one, *DALLAS), offers.sizes())
        winner, theirs = int(ranking.order[0]), bare(offered, usd_per_km)
        claim(f"the winner is bare numpy's, {'by priority' if one is profile else 'by score'}",
              "yes" if winner == theirs else "no", holds=winner == theirs)  # fmt: skip
    fill(offered)
    rows = timed(lambda: explained(weighed), repeats=5)
    bound = timed(lambda: (fetched(), bare(offered, float(WORTH) / 1000)), repeats=5)
    ratio = rows.median / bound.median
    claim(
        f"from rows to an explained ranking, 6 x {EACH:,} offers", f"{rows.median * 1000:.0f} ms = {ratio:.2f} x",
        against=f"fetched and ranked bare {bound.median * 1000:.0f} ms; at most 3 x", holds=ratio <= 3,
    )  # fmt: skip


def main() -> None:
    seed(now=timezone.now())
    profile = profile_for(console="switch")
    offered = stock(MANY)
    wish = placement.Wish(profile, *DALLAS)
    beside_numpy(offered, profile, f"{MANY:,} offers")
    ranking = placement.rank(offered, wish, offers.sizes())
    some = ranking.order[:: max(1, len(ranking.order) // 300)]
    loop = timed(lambda: geopy_loop(offered, some), repeats=3)
    whole = loop.median / len(some) * MANY
    ours = timed(lambda: placement.rank(offered, wish, offers.sizes()))
    claim(
        "the same by a geopy loop (extrapolated from a sample)",
        f"{whole:.1f} s",
        against=f"{whole / ours.median:,.0f} x slower",
    )
    winner, nearest = int(ranking.order[0]), geopy_loop(offered, ranking.order)
    same = offered.place[winner] == offered.place[nearest]
    claim("the winner is the geopy loop's", "yes" if same else "no", holds=bool(same))
    fill(stock(ROWS))
    rows = timed(lambda: explained(profile), repeats=20)
    claim(
        f"from rows to an explained ranking, {ROWS:,} offers", f"p95 {rows.p95 * 1000:.0f} ms, median {rows.median * 1000:.0f} ms",
        against="at most 60 ms", holds=rows.p95 <= 0.060,
    )  # fmt: skip
    ProviderAccount.objects.all().delete()
    six_kinds(profile)
