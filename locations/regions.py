"""Regions of clouds: what is shipped of them, which is nearest to a person, and what the Location Finder said.

A request reads rows only. When the Location Finder's answer is missing or too old it has one fetched in the background
(`refresh_one`, by locations.tasks) and ranks by distance; `Method` says which of the two it was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from gamer.errors import NotFound
from gamer.queue import schedules
from gamer.queue.enqueue import enqueue
from locations import distance, services
from locations.catalogue import CLOUDS, GCP, RegionSeed, shipped
from locations.finder import PROVIDERS, Finder, FinderUnavailable
from locations.models import FinderAnswer, Region

TASK = "locations.tasks.refresh_location_finder"
# Latencies change when a network does: a daily look is often enough, and two days without one cost nothing.
ASK_EVERY, USABLE_FOR = timedelta(days=1), timedelta(days=3)
# One request in this time has a missing answer fetched; the others only read.
QUEUE_EVERY = timedelta(minutes=1)
ELSEWHERE = "Elsewhere"

_CLOUD_OF = {kind: cloud for cloud, kind in CLOUDS.items()}
_STAFFS_OWN = ("id", "kind", "code", "is_listed", "edited_at")
_NOT_IN_CODES = re.compile(r"[^a-z0-9]")


class Method(StrEnum):
    """How a region was found to be close; the values are the API's."""

    FINDER = "google_cloud_location_finder_api"
    DISTANCE = "distance_calculation"


@dataclass(frozen=True, slots=True)
class NearRegion:
    """A region, how far it is as the crow flies, and what put it where it is in the list."""

    region: Region
    distance_km: float
    source: Method


@dataclass(frozen=True, slots=True)
class Nearby:
    """The closest regions first. `method` is that of the first one."""

    method: Method
    regions: Sequence[NearRegion]


def seed(now: datetime) -> None:
    """What an installation needs: the regions we ship, and the schedule that keeps the Location Finder's answers fresh."""
    seed_regions(regions=shipped())
    schedules.keep("refresh the Location Finder's answers", TASK, minutes=5)


@transaction.atomic
def seed_regions(*, regions: Iterable[RegionSeed]) -> int:
    """Writes a catalogue's regions, new and changed ones; those that staff edited stay. Returns how many it was given."""
    seeds = {(seed.kind, seed.code): seed for seed in regions}
    # All are locked, so that nobody makes one theirs between this look and the write.
    rows = Region.objects.select_for_update().order_by("id").values_list("kind", "code", "edited_at")
    theirs = {(kind, code) for kind, code, edited_at in rows if edited_at is not None}
    Region.objects.bulk_create(
        [placed(_row(seeds[key])) for key in sorted(seeds) if key not in theirs],
        update_conflicts=True,
        unique_fields=["kind", "code"],
        update_fields=[field.name for field in Region._meta.concrete_fields if field.name not in _STAFFS_OWN],
    )
    return len(seeds)


def placed(region: Region) -> Region:
    """The region with what the gazetteer knows of its town, where nothing is said: coordinates, country code, continent."""
    if region.latitude is None or region.longitude is None:
        position = services.place_of(city=region.city, state=region.state, country=region.country)
        if position is not None:
            region.latitude, region.longitude = position.latitude, position.longitude
    country = services.find_country(text=region.country)
    if country is not None:
        region.country_code = region.country_code or country.code
        region.continent = region.continent or country.continent
    return region


def save_region(*, region: Region, now: datetime) -> None:
    """Keeps what staff wrote, for good: no later version changes this region."""
    placed(region).edited_at = now
    region.save()


def list_regions(*, region_ids: Iterable[int], is_listed: bool, now: datetime) -> int:
    """Shows regions to people, or hides them. Returns how many changed."""
    changed = Region.objects.filter(id__in=region_ids).exclude(is_listed=is_listed)
    return changed.update(is_listed=is_listed, edited_at=now)


def is_shipped(region: Region) -> bool:
    """Whether a deleted row would be back after the next start."""
    return any((seed.kind, seed.code) == (region.kind, region.code) for seed in shipped())


def kind_of(cloud: str) -> str:
    """The provider kind of a cloud: `gcp` is cloudypad_gcp. NotFound for what is no cloud of ours."""
    if cloud not in CLOUDS:
        raise NotFound("unknown cloud", details={"cloud": [f"One of {', '.join(CLOUDS)}."]})
    return CLOUDS[cloud]


def by_code(*, kind: str) -> dict[str, Region]:
    """A provider kind's regions, hidden ones too: what is rented there still stands somewhere."""
    return {region.code: region for region in Region.objects.filter(kind=kind)}


def by_continent(*, cloud: str) -> dict[str, list[Region]]:
    """A cloud's listed regions by code under their continents, both in alphabetical order. NotFound for an unknown cloud."""
    found: dict[str, list[Region]] = defaultdict(list)
    for region in Region.objects.listed().filter(kind=kind_of(cloud)).order_by("code"):
        found[region.continent or ELSEWHERE].append(region)
    return dict(sorted(found.items()))


def closest(
    *, cloud: str, latitude: float, longitude: float, limit: int, use_location_finder: bool, now: datetime
) -> Nearby:
    """A cloud's listed regions nearest to a position: by latency where the Location Finder has answered, else by distance.

    Two statements, two more when an answer must be fetched. No regions when none is on the map. NotFound for an unknown
    cloud.
    """
    kind = kind_of(cloud)
    asks_finder = use_location_finder and is_finder_on() and cloud in PROVIDERS
    rows = Region.objects.listed().on_the_map().filter(kind__in={kind, GCP} if asks_finder else {kind})
    by_kind: dict[str, list[Region]] = defaultdict(list)
    for region in rows.order_by("code"):
        by_kind[region.kind].append(region)
    regions = by_kind[kind]
    first: list[Region] = []
    if asks_finder and regions:
        source = _nearest(by_kind[GCP], latitude, longitude, limit=1)
        first = _by_latency(regions, source[0].code, kind, now)[:limit] if source else []
    ids = {region.pk for region in first}
    rest = [region for region in regions if region.pk not in ids]
    near = [_near(region, latitude, longitude, Method.FINDER) for region in first]
    near += [
        _near(region, latitude, longitude, Method.DISTANCE)
        for region in _nearest(rest, latitude, longitude, limit=limit - len(first))
    ]
    return Nearby(Method.FINDER if first else Method.DISTANCE, near)


def is_finder_on() -> bool:
    """Whether there is a project to ask the Location Finder for."""
    return bool(settings.ENV.gcp_project_id)


def refresh_one(*, now: datetime, finder: Finder) -> bool:
    """Asks the Location Finder for one answer that is due. Returns whether it told, so that the next may be asked for."""
    with transaction.atomic():
        row = FinderAnswer.objects.due(now).select_for_update(skip_locked=True).first()
        if row is None:
            return False
        row.look_at = now + services.LEASE
        row.save(update_fields=["look_at"])
    try:
        codes = finder.closest(_CLOUD_OF[row.kind], row.source)
    except FinderUnavailable as error:
        wait = services.wait_after(tries=row.tries, retry_after=error.retry_after)
        _leased(row).update(tries=row.tries + 1, error=str(error)[:300], look_at=now + wait)
        return False
    _leased(row).update(codes=codes, answered_at=now, look_at=now + ASK_EVERY, tries=0, error="")
    return True


@transaction.atomic
def ask_finder_again(*, answer_ids: Iterable[int], now: datetime) -> int:
    """Has these answers fetched anew, at once; what they say holds until then. Returns how many."""
    count = FinderAnswer.objects.filter(id__in=answer_ids).update(look_at=now, tries=0)
    if count:
        enqueue(TASK, group="location finder")
    return count


def _by_latency(regions: Sequence[Region], source: str, kind: str, now: datetime) -> list[Region]:
    """Those the Location Finder named, in its order; none without a usable answer, which is then fetched."""
    answer = FinderAnswer.objects.filter(source=source, kind=kind).first()
    if answer is None or answer.answered_at is None or now - answer.answered_at >= USABLE_FOR:
        _want(answer, source, kind, now)
        return []
    # Nothing is closer to a region than itself, whether the answer says so or not.
    order = [source, *answer.codes] if kind == GCP else answer.codes
    known = {_bare(region.code): region for region in regions}
    return [known[code] for code in dict.fromkeys(map(_bare, order)) if code in known]


@transaction.atomic
def _want(answer: FinderAnswer | None, source: str, kind: str, now: datetime) -> None:
    """Has an answer fetched: once for many requests, and not while it is being asked for or the API is left alone."""
    if answer is None:
        moments = {"asked_at": now, "queued_at": now, "look_at": now}
        _, is_wanted = FinderAnswer.objects.get_or_create(source=source, kind=kind, defaults=moments)
    else:
        waiting = FinderAnswer.objects.filter(id=answer.id, look_at__lte=now)
        is_wanted = bool(waiting.filter(queued_at__lte=now - QUEUE_EVERY).update(queued_at=now))
    if is_wanted:
        enqueue(TASK, group="location finder")


def _leased(row: FinderAnswer) -> QuerySet[FinderAnswer]:
    """The row while it is still ours: another process may have taken it over, or staff had it asked again."""
    return FinderAnswer.objects.filter(id=row.id, look_at=row.look_at)


def _bare(code: str) -> str:
    """How vendors and the Location Finder may differ in writing one code: "West Europe", "westeurope"."""
    return _NOT_IN_CODES.sub("", code.lower())


def _nearest(regions: Sequence[Region], latitude: float, longitude: float, *, limit: int) -> list[Region]:
    latitudes = np.array([region.latitude for region in regions], dtype=np.float64)
    longitudes = np.array([region.longitude for region in regions], dtype=np.float64)
    found = distance.closest(latitude, longitude, latitudes, longitudes, limit=limit)
    return [regions[index] for index in found]


def _near(region: Region, latitude: float, longitude: float, source: Method) -> NearRegion:
    assert region.latitude is not None
    assert region.longitude is not None
    kilometres = distance.distance_km((latitude, longitude), (region.latitude, region.longitude))
    return NearRegion(region, round(kilometres, 1), source)


def _row(seed: RegionSeed) -> Region:
    values = {field.name: getattr(seed, field.name) for field in fields(seed)}
    return Region(**{**values, "gpu_models": list(seed.gpu_models)})
