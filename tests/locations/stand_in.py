"""A service on loopback, over real HTTP: answers what it is told to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class StandIn:
    """`status`, `body`, `headers` are what it answers, after `delay_s`. Subclasses say what is asked."""

    root = ""
    protocol = "HTTP/1.0"

    def __init__(self) -> None:
        self.status = 200
        self.body: object = None
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self._ends = threading.Event()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = self.protocol

            def do_GET(self) -> None:
                stand_in.answer(self)

            def do_POST(self) -> None:
                stand_in.answer(self)

            def do_PUT(self) -> None:
                stand_in.answer(self)

            def do_DELETE(self) -> None:
                stand_in.answer(self)

            def do_HEAD(self) -> None:
                stand_in.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.root}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        raise NotImplementedError

    def has_waited(self) -> bool:
        """Lets the delay pass; false when the stand-in ends meanwhile."""
        return not self._ends.wait(self.delay_s)

    def reply(self, request: BaseHTTPRequestHandler, body: object, status: int = 200) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.send_response(status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
