"""The seam of geocoding: names in, a position out. Gazetteer (offline) and Nominatim (background) implement it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


class Matched(enum.StrEnum):
    """How much of the question a position answers, the best first."""

    CITY = "city"
    STATE = "state"
    COUNTRY = "country"


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees on WGS-84. `name` is the place they belong to, to show staff what was understood.

    With STATE or COUNTRY the position is that of its middle city: a guess that is right by region only.
    """

    latitude: float
    longitude: float
    matched: Matched
    name: str


class GeocoderUnavailable(Exception):
    """No answer this time: refused, timed out, overloaded or unreadable. Ask again later, not sooner than `retry_after`."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Geocoder(Protocol):
    def find(self, city: str, state: str, country: str) -> Position | None:
        """Where this is, or None when there is no such place.

        Names in any language, or ISO codes; each may be empty. Never raises on odd text; GeocoderUnavailable only
        where a network is asked.
        """
        ...
