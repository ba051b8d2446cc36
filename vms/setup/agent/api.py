"""The local API: HTTP on a unix socket that only its owner can open, and only with the token.

GET /state · POST /sessions {session_id, game_id, app, argv, env, save} · GET /sessions/{id} · DELETE /sessions/{id}
GET /pairing · POST /pairing {pin, request_id}
POST /saves/flush · GET /saves/{slot}/{digest} · POST /saves/stored {slot, digest, number, is_current} · POST /saves/refused {slot, digest}
Errors are {"error": text}. 409 for a session: its save has to be brought to the machine first.
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
from .saves import SaveMissing, Saves
from .session import DIGEST, SLOT, BadOrder
from .wolf import Wolf, WolfError

MAX_BODY = 256 * 1024
SAVES = ("/saves/flush", "/saves/stored", "/saves/refused")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens as soon as it is made. `describe` gives what GET /state shows beside the sessions; `heard` is told of every caller."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(
        self,
        path: Path,
        token: str,
        games: Games,
        saves: Saves,
        describe: Callable[[], dict[str, Any]],
        wolf: Wolf,
        heard: Callable[[], None],
    ) -> None:
        self.token = token
        self.wolf = wolf
        self.heard = heard
        self.games = games
        self.saves = saves
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
            told = {"sessions": self.server.games.all(), "saves": self.server.saves.view()}
            return 200, {**self.server.describe(), **told}
        if self.path == "/pairing":
            return self._pairing(lambda: pairing.state(self.server.wolf))
        if self.path.startswith("/saves/"):
            slot, _, digest = self.path[len("/saves/") :].partition("/")
            is_named = SLOT.fullmatch(slot) and DIGEST.fullmatch(digest)
            path = self.server.saves.path_of(slot, digest) if is_named else None
            return _found({"path": str(path)} if path is not None else None)
        return _found(self.server.games.get(self._session_id()))

    def _post(self) -> tuple[int, dict[str, Any]]:
        if self.path not in ("/sessions", "/pairing", *SAVES):
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
        if self.path in SAVES:
            return self._save(order)
        try:
            view, is_new = self.server.games.launch(order)
        except BadOrder as error:
            return 400, {"error": str(error)}
        except SaveMissing as error:
            return 409, {"error": f"save {error} is not on this machine"}
        except StillRunning as error:
            return 503, {"error": f"session {error} does not end"}
        return 201 if is_new else 200, view

    def _save(self, told: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        saves = self.server.saves
        if self.path == "/saves/flush":
            saves.flush()
            return 200, {"saves": saves.view()}
        slot, digest, number = (told.get(name) for name in ("slot", "digest", "number"))
        if not (isinstance(slot, str) and SLOT.fullmatch(slot)):
            return 400, {"error": "slot: a UUID"}
        if not (isinstance(digest, str) and DIGEST.fullmatch(digest)):
            return 400, {"error": "digest: 64 hexadecimal digits"}
        if self.path == "/saves/refused":
            saves.refused(slot, digest, is_final=True)
        elif type(number) is int and number > 0:
            saves.stored(slot, digest, number, is_current=told.get("is_current") is True)
        else:
            return 400, {"error": "number: 1 or more"}
        return 200, {}

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
            try:
                status, value = act()
            except OSError as error:
                # A full disk, say: to be tried again, and said in words.
                status, value = 503, {"error": f"{type(error).__name__}: {error}"}
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
