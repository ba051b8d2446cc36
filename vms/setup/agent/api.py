"""The local API: HTTP on a unix socket that only its owner can open, and only with the token.

GET /state · POST /sessions {session_id, game_id, app, argv, env} · GET /sessions/{id} · DELETE /sessions/{id}
GET /pairing · POST /pairing {pin, request_id}. Errors are {"error": text}.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socketserver
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from . import pairing
from .files import make_private, short_name
from .games import Games, StillRunning
from .session import BadOrder
from .wolf import Wolf, WolfError

MAX_BODY = 256 * 1024


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens as soon as it is made. `describe` gives what GET /state shows beside the sessions; `heard` is told of every caller."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(
        self,
        path: Path,
        token: str,
        games: Games,
        describe: Callable[[], dict[str, Any]],
        wolf: Wolf,
        heard: Callable[[], None],
    ) -> None:
        self.token = token
        self.wolf = wolf
        self.heard = heard
        self.games = games
        self.describe = describe
        make_private(path.parent)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with short_name(path) as name:
            super().__init__(name, Handler)
        os.chmod(str(path), 0o600)


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10
    _body: bytes | None = None

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged per request: the caller polls, and its address is empty on a unix socket."""

    def _get(self) -> tuple[int, dict[str, Any]]:
        if self.path == "/state":
            return 200, {**self.server.describe(), "sessions": self.server.games.all()}
        if self.path == "/pairing":
            return self._pairing(lambda: pairing.state(self.server.wolf))
        return _found(self.server.games.get(self._session_id()))

    def _post(self) -> tuple[int, dict[str, Any]]:
        if self.path not in ("/sessions", "/pairing"):
            return _found(None)
        if self._body is None:
            return 413, {"error": f"a body of at most {MAX_BODY} bytes, with its length"}
        try:
            order = json.loads(self._body)
        except (ValueError, RecursionError):
            return 400, {"error": "not JSON"}
        if not isinstance(order, dict):
            return 400, {"error": "not an object"}
        if self.path == "/pairing":
            return self._pairing(
                lambda: pairing.pair(self.server.wolf, order.get("pin"), order.get("request_id"))
            )
        try:
            view, is_new = self.server.games.launch(order)
        except BadOrder as error:
            return 400, {"error": str(error)}
        except StillRunning as error:
            return 503, {"error": f"session {error} does not end"}
        return 201 if is_new else 200, view

    def _pairing(self, act: Callable[[], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        try:
            return 200, act()
        except pairing.BadPin as error:
            return 400, {"error": str(error)}
        except WolfError as error:
            return 503, {"error": str(error)}

    def _delete(self) -> tuple[int, dict[str, Any]]:
        try:
            return _found(self.server.games.end(self._session_id()))
        except StillRunning as error:
            return 503, {"error": f"session {error} does not end"}

    def _session_id(self) -> str:
        folder, _, session_id = self.path.rpartition("/")
        return session_id if folder == "/sessions" else ""

    def _is_allowed(self) -> bool:
        given = self.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.server.token}".encode())

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        return self.rfile.read(int(length)) if length.isdigit() and int(length) <= MAX_BODY else None

    def _answer(self, act: Callable[[], tuple[int, dict[str, Any]]]) -> None:
        # Read even when it is refused: closing on unread bytes resets the connection, and the answer is lost.
        self._body = self._read_body()
        if self._is_allowed():
            self.server.heard()
            status, value = act()
        else:
            status, value = 401, {"error": "wrong token"}
        body = json.dumps(value).encode()
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)


def _found(view: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
    return (200, view) if view is not None else (404, {"error": "no such session or path"})
