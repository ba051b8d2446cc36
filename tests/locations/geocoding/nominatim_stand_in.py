"""Nominatim's /search on loopback: answers what it is told to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

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


class NominatimStandIn:
    """`status`, `body`, `headers` are what it answers, after `delay_s`."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = CHUBBUCK
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self.asked: list[dict[str, str]] = []
        self.agents: list[str] = []
        self._ends = threading.Event()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}/nominatim"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.asked.append(
            {name: values[0] for name, values in parse_qs(parts.query).items()} | {"path": parts.path}
        )
        self.agents.append(request.headers["User-Agent"])
        if self._ends.wait(self.delay_s):
            return
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        request.send_response(self.status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def __enter__(self) -> NominatimStandIn:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
