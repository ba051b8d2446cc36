"""Wolf's API, as far as we use it: HTTP/1.0 on a unix socket, without any login (whoever reaches it is root).

Versions differ; which paths there are is read from Wolf's own OpenAPI description, never assumed. Errors come as {"success": false} and
often with status 500 for our own mistakes. Ids are 64-bit numbers written as text, in old versions as bare numbers: kept as text here.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .files import short_name

MAX_ANSWER = 4 * 1024 * 1024
TIMEOUT_S = 10.0
# A keepalive comes every 15 s.
SILENCE_S = 45.0
RETRY_S = 0.1
MAX_EVENT = 256 * 1024
EVENTS = "wolf::core::events::"
API = "/api/v1"


class WolfError(Exception):
    """Wolf does not answer, not sensibly, or says no. The text holds nothing secret."""


class Wolf:
    """Asks the first of `sockets` that is there; Wolf makes its socket anew at every start."""

    def __init__(self, sockets: tuple[Path, ...]) -> None:
        self._sockets = sockets
        self._paths: frozenset[str] | None = None

    def has(self, path: str) -> bool:
        """Whether this Wolf knows the path. Raises WolfError."""
        if self._paths is None:
            try:
                self._paths = frozenset(self._exchange("GET", "/openapi-schema")["paths"])
            except (KeyError, TypeError) as error:
                raise WolfError("Wolf's description of itself cannot be read") from error
        return API + path in self._paths

    def get(self, path: str) -> dict[str, Any]:
        """Raises WolfError, also for `success: false`."""
        return _succeeded(path, self._exchange("GET", path))

    def post(self, path: str, body: dict[str, Any], *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        return _succeeded(path, self._exchange("POST", path, body, timeout_s))

    def rows(self, path: str, name: str) -> list[dict[str, Any]]:
        """The objects of a list. Raises WolfError."""
        found = self.get(path).get(name)
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, data) of what happens from now on, ("", {}) first and for a keepalive.

        Ends with WolfError, at the latest after silence.
        """
        try:
            with self._connected(SILENCE_S) as sock:
                _send(sock, "GET", "/events", None)
                # The stream has no length: read as it comes.
                stream = sock.makefile("rb")
                status = stream.readline(MAX_EVENT).split()
                if len(status) < 2 or status[1] != b"200":
                    raise WolfError("Wolf has no stream of events")
                while stream.readline(MAX_EVENT).strip():
                    pass
                yield "", {}
                yield from _parsed(stream)
        except OSError as error:
            raise WolfError(f"the stream of events ended: {type(error).__name__}") from error
        raise WolfError("the stream of events ended")

    def _connected(self, timeout_s: float) -> socket.socket:
        for path in self._sockets:
            if not path.exists():
                continue
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout_s)
            try:
                with short_name(path) as name:
                    sock.connect(name)
            except OSError:
                sock.close()
                continue
            return sock
        self._paths = None
        raise WolfError("Wolf does not listen")

    def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S
    ) -> dict[str, Any]:
        try:
            with self._connected(timeout_s) as sock:
                _send(sock, method, path, body)
                response = http.client.HTTPResponse(sock, method=method)
                response.begin()
                text = response.read(MAX_ANSWER)
                status = response.status
            answer = json.loads(text or b"{}")
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise WolfError(f"{path}: {type(error).__name__}") from error
        if status == 404 or not isinstance(answer, dict):
            raise WolfError(f"{path}: answered {status}")
        return answer


def await_wolf(path: Path, wait_s: float) -> bool:
    """Whether Wolf describes itself on that socket within `wait_s`."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return Wolf((path,)).has("/apps")
        except WolfError:
            if time.monotonic() >= deadline:
                return False
        time.sleep(RETRY_S)


def _send(sock: socket.socket, method: str, path: str, body: dict[str, Any] | None) -> None:
    """Headers and body in one write: old versions lose a body that comes after. Chunked ones are refused by all."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {API}{path} HTTP/1.0\r\nHost: wolf\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    sock.sendall(head.encode() + content)


def _succeeded(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("success") is not True:
        raise WolfError(f"{path}: {str(answer.get('error', 'refused'))[:200]}")
    return answer


def _parsed(stream: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    while True:
        line = stream.readline(MAX_EVENT)
        if not line:
            return
        text = line.decode(errors="replace").strip()
        if text.startswith(":"):
            yield "", {}
        elif text.startswith("event:"):
            name = text[len("event:") :].strip()
        elif text.startswith("data:"):
            try:
                value = json.loads(text[len("data:") :])
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield name[len(EVENTS) :] if name.startswith(EVENTS) else name, value
