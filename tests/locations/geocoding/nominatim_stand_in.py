"""Nominatim's /search on loopback."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.locations.stand_in import StandIn

# A real answer's shape (format=json), shortened.
CHUBBUCK = [
    {
        "place_id": 315184325,
        "osm_type": "relation",
        "lat": "42.9207505",
        "lon": "-112.4660918",
        "class": "boundary",
        "type": "administrative",
        "addresstype": "city",
        "name": "Chubbuck",
        "display_name": "Chubbuck, Bannock County, Idaho, United States",
    }
]


class NominatimStandIn(StandIn):
    root = "/nominatim"

    def __init__(self) -> None:
        super().__init__()
        self.body = CHUBBUCK
        self.asked: list[dict[str, str]] = []
        self.agents: list[str] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.asked.append(
            {name: values[0] for name, values in parse_qs(parts.query).items()} | {"path": parts.path}
        )
        self.agents.append(request.headers["User-Agent"])
        if self.has_waited():
            self.reply(request, self.body, self.status)
