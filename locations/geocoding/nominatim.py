"""OpenStreetMap's geocoder, for what the gazetteer does not know. Slow and rationed: never within a request.

Its rules (operations.osmfoundation.org/policies/nominatim): at most one request a second for the whole application, a
user agent that names it, results kept. The caller paces and keeps; this class asks once and tells what came back.
"""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from geopy.adapters import RequestsAdapter
from geopy.exc import GeocoderServiceError
from geopy.geocoders import Nominatim

from .base import GeocoderUnavailable, Matched, Position

PUBLIC_URL = "https://nominatim.openstreetmap.org"
TIMEOUT_S = 10.0
_LONGEST_NAME = 200


class NominatimGeocoder:
    """A context manager that keeps one connection. `user_agent` names the installation and where to reach it."""

    def __init__(self, *, user_agent: str, url: str = PUBLIC_URL, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        self._nominatim = Nominatim(
            user_agent=user_agent,
            scheme=parts.scheme,
            domain=parts.netloc + parts.path,
            timeout=timeout_s,
            # geopy retries twice by itself, which would break both the pace and the timeout.
            adapter_factory=partial(RequestsAdapter, max_retries=0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nominatim.__exit__(kind, error, trace)

    def find(self, city: str, state: str, country: str) -> Position | None:
        """Asks once, in at most `timeout_s` without a byte; see `Geocoder`. GeocoderUnavailable when there is no clear
        answer."""
        asked = {"city": city, "state": state, "country": country}
        query = {name: text.strip() for name, text in asked.items() if text.strip()}
        if not query or any(len(text) > _LONGEST_NAME for text in query.values()):
            return None
        try:
            location = self._nominatim.geocode(query, language="en")
            if location is None:
                return None
            latitude, longitude = float(location.latitude), float(location.longitude)
            name = str(location.address)
        except GeocoderServiceError as error:
            # Only a 429 says when to come back.
            raise GeocoderUnavailable(str(error), retry_after=getattr(error, "retry_after", None)) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise GeocoderUnavailable(f"Nominatim's answer cannot be read: {error}") from error
        return Position(latitude=latitude, longitude=longitude, matched=_matched(query), name=name)


def _matched(query: dict[str, str]) -> Matched:
    """A structured search finds what it was asked for or nothing."""
    if "city" in query:
        return Matched.CITY
    return Matched.STATE if "state" in query else Matched.COUNTRY
