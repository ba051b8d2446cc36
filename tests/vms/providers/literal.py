"""A real HTTP server that answers with literal bytes, for what no well-meaning stand-in would send."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class Answer:
    """`drip_s`: after the body one more byte each so many seconds; `cut`: the connection ends before the body does."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_s: float = 0
    cut: bool = False


@dataclass
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class LiteralServer:
    """A context manager. Every request gets the next of `answers`, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer()]
        self.seen: list[Seen] = []
        self.connections: list[socket.socket] = []
        self._ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/v2"

    def answer(self, body: Any, status: int = 200, **how: Any) -> None:
        """The one answer from now on; anything but bytes goes as JSON."""
        self.answers = [Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode(), **how)]

    def forget(self) -> None:
        """As new: nothing seen, no connection open."""
        # A client's pool keeps its connections; their threads wait for a next request.
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.answers, self.seen, self.connections = [Answer()], [], []

    def _next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                server.connections.append(self.request)
                super().setup()

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.removeprefix("/api/v2")
                server.seen.append(
                    Seen(self.command, path, dict(self.headers), json.loads(body) if body else None)
                )
                answer = server._next()
                self.send_response(answer.status)
                length = len(answer.body) + (1_000_000 if answer.cut or answer.drip_s else 0)
                for name, value in {"Content-Length": str(length), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # whoever asked may have gone
                    self.wfile.write(answer.body)
                if answer.drip_s:
                    self._drip(answer.drip_s)
                self.close_connection = answer.cut or bool(answer.drip_s)

            def _drip(self, pause_s: float) -> None:
                while not server._ending.wait(pause_s):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return

            do_GET = do_POST = do_DELETE = do_PUT = _any

            def log_message(self, format: str, *args: Any) -> None:
                return

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self.forget()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
