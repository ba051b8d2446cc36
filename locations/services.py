"""Where things are, for the other apps: places by name, at once; and what must be asked of the background geocoder.

`locate_many` answers from what staff or the background geocoder settled, else from the gazetteer. What the gazetteer does
not know well becomes a row that `geocode_missing` works off later; the next question sees its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from gamer.errors import bad_field
from gamer.queue import schedules
from locations.geocoding import names
from locations.geocoding.base import Geocoder, GeocoderUnavailable, Matched, Position
from locations.geocoding.gazetteer import Country, Gazetteer, Place
from locations.models import LONGEST_KEY, PACE, GeocodedPlace, GeocoderTurn

# Longer than a lookup may take: a process that dies with a row gives it back after this.
LEASE = timedelta(minutes=2)
# The map grows; a place nobody knew is asked for again after this.
UNKNOWN_FOR = timedelta(days=30)
FIRST_RETRY, LAST_RETRY = timedelta(minutes=1), timedelta(days=1)


class PlaceName(NamedTuple):
    """What a vendor or a person calls a place. Each part may be empty, in any language, or an ISO code."""

    city: str
    state: str = ""
    country: str = ""


def seed(now: datetime) -> None:
    """What an installation needs before its first request: the gazetteer's index and the geocoder's schedule."""
    prepare_gazetteer()
    schedules.keep("geocode missing places", "locations.tasks.geocode_missing", minutes=1)


def prepare_gazetteer() -> None:
    """Compiles the gazetteer's index unless it is there (ten seconds), so that no request has to wait for it."""
    _gazetteer()


def locate_many(*, places: Iterable[PlaceName], now: datetime) -> dict[PlaceName, Position | None]:
    """Where places are, each one once, in one or two statements however many there are; see `Position` for how sure that is.

    None where nothing is known (yet). Those that the gazetteer does not know as well as they were named are recorded for the
    background geocoder.
    """
    keys = {place: _key(place) for place in places}
    rows = GeocodedPlace.objects.filter(key__in={key for key in keys.values() if key})
    settled = {row.key: row.position for row in rows}
    gazetteer = _gazetteer()
    found: dict[PlaceName, Position | None] = {}
    missing: dict[str, PlaceName] = {}
    for place, key in keys.items():
        found[place] = settled.get(key) or gazetteer.find(*place)
        if key and key not in settled and not _is_fully_matched(place, found[place]):
            missing[key] = place
    if missing:
        # In the order of keys, so that two refreshes at once wait for each other rather than for ever.
        wanted = [_row(key, missing[key], now) for key in sorted(missing)]
        GeocodedPlace.objects.bulk_create(wanted, ignore_conflicts=True)
    return found


def geocode_missing(*, now: datetime, geocoder: Geocoder) -> datetime | None:
    """Asks the background geocoder for one place that waits, if no other process asked within the last second.

    Returns when the next one may be asked for; None when none waits, another process has the turn, or the geocoder is
    away (then nobody asks for a minute or as long as it says).
    """
    with transaction.atomic():
        row = GeocodedPlace.objects.waiting(now).select_for_update(skip_locked=True).first()
        if row is None or not GeocoderTurn.take(now):
            return None
        row.look_at = now + LEASE
        row.save(update_fields=["look_at"])
    try:
        position = geocoder.find(row.city, row.state, row.country)
    except GeocoderUnavailable as error:
        _put_off(row, error, now)
        return None
    _settle(row, position, now)
    return now + PACE if GeocodedPlace.objects.waiting(now).exists() else None


def ask_again(*, place_ids: Iterable[int], now: datetime) -> int:
    """Forgets what is known of these places and has them looked up anew. Returns how many."""
    return GeocodedPlace.objects.filter(id__in=place_ids).update(
        latitude=None, longitude=None, matched="", name="", tries=0, error="", answered_at=None, look_at=now
    )


def place_by_hand(*, place_id: int, latitude: float, longitude: float, now: datetime) -> None:
    """Settles a place on the word of staff. ValidationError off the map."""
    if not abs(latitude) <= 90:
        raise bad_field("latitude", "From -90 to 90.")
    if not abs(longitude) <= 180:
        raise bad_field("longitude", "From -180 to 180.")
    GeocodedPlace.objects.filter(id=place_id).update(
        latitude=latitude,
        longitude=longitude,
        matched=Matched.CITY,
        name="placed by hand",
        tries=0,
        error="",
        answered_at=now,
        look_at=None,
    )


def place_of(*, city: str, state: str, country: str) -> Position | None:
    """Where the gazetteer has a place. Unlike `locate_many` it records nothing for the background geocoder."""
    return _gazetteer().find(city, state, country)


def wait_after(*, tries: int, retry_after: float | None) -> timedelta:
    """How long to leave a service alone after `tries` + 1 failures in a row: longer each time, at least as long as it said."""
    wait: timedelta = min(FIRST_RETRY * 2 ** min(tries, 20), LAST_RETRY)
    told = timedelta(seconds=min(retry_after or 0, LAST_RETRY.total_seconds()))
    return max(wait, told)


def search_places(*, q: str, limit: int) -> list[Place]:
    """Places whose name starts with `q`, those with the most people first; what follows a comma narrows the search."""
    return list(places_named(q=q)[:limit])


def places_named(*, q: str) -> Sequence[Place]:
    """All of them; only those that are looked at are put in order."""
    return _gazetteer().named(q)


@cache
def inhabited_fields(degrees: int) -> list[tuple[int, int]]:
    """Where people live, in fields of so many degrees: a map of the land, coarse but without a map. See `Gazetteer`."""
    return _gazetteer().inhabited(degrees)


def find_country(*, text: str) -> Country | None:
    """The country that a name, an alias or an ISO code means."""
    return _gazetteer().country(text)


def is_place(text: str) -> bool:
    """Whether a country, a state or a city has this name, or a country this code."""
    return _gazetteer().knows(text)


def _gazetteer() -> Gazetteer:
    return _opened(Path(settings.GAZETTEER_DIR))


@cache
def _opened(directory: Path) -> Gazetteer:
    return Gazetteer(directory)


def _key(place: PlaceName) -> str:
    """What different spellings of one question share; empty for what is no question or too long to be one."""
    parts = [names.fold(part) for part in place]
    key = "|".join(parts)
    return key if any(parts) and len(key) <= LONGEST_KEY else ""


def _is_fully_matched(place: PlaceName, position: Position | None) -> bool:
    if position is None:
        return False
    if names.fold(place.city):
        return position.matched == Matched.CITY
    return position.matched == Matched.STATE or not names.fold(place.state)


def _row(key: str, place: PlaceName, now: datetime) -> GeocodedPlace:
    """A part too long to be a name is left out, as the key leaves it out: it fits no column, and one made all others fail."""
    parts = ("" if len(part) > names.MAX_NAME else part for part in place)
    city, state, country = ("".join(filter(str.isprintable, part)).strip() for part in parts)
    return GeocodedPlace(key=key, city=city, state=state, country=country, asked_at=now, look_at=now)


def _settle(row: GeocodedPlace, position: Position | None, now: datetime) -> None:
    answer = (
        {"look_at": now + UNKNOWN_FOR}
        if position is None
        else {
            "latitude": position.latitude,
            "longitude": position.longitude,
            "matched": position.matched,
            "name": position.name[:500],
            "look_at": None,
        }
    )
    _leased(row).update(tries=0, error="", answered_at=now, **answer)


def _put_off(row: GeocodedPlace, error: GeocoderUnavailable, now: datetime) -> None:
    wait = wait_after(tries=row.tries, retry_after=error.retry_after)
    _leased(row).update(tries=row.tries + 1, error=str(error)[:300], look_at=now + wait)
    GeocoderTurn.postpone(now + wait_after(tries=0, retry_after=error.retry_after))


def _leased(row: GeocodedPlace) -> QuerySet[GeocodedPlace]:
    """The row while it is still ours: staff may have settled it, or another process have taken it over, meanwhile."""
    return GeocodedPlace.objects.filter(id=row.id, look_at=row.look_at)
