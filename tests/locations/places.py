"""One place asked for, as a vendor names it."""

from __future__ import annotations

from datetime import datetime

from locations.geocoding.base import Position
from locations.services import PlaceName, locate_many


def locate(*, city: str, state: str = "", country: str = "", now: datetime) -> Position | None:
    place = PlaceName(city, state, country)
    return locate_many(places=[place], now=now)[place]
