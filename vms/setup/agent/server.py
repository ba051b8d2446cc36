"""One request to `PUBLIC_URL`, and when to try again.

Nothing the other side answers can stop us: an answer is bounded, anything but a 2xx is a failure, failures are retried ever more rarely.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
import urllib.parse
from pathlib import Path
from typing import Any

MAX_ANSWER = 64 * 1024
TIMEOUT_S = 10.0
# Refusals that will be the same next time: what was told is dropped. The other 4xx are about us or the moment, not about that.
REFUSED_FOR_GOOD = (400, 403, 404, 409, 410, 413, 422)
TOKEN_REFUSED = 401


class Failed(Exception):
    """The server did not take it. `status` 0 means that it gave no proper answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def post(url: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    """The object the server answers with 2xx ({} when it answers anything else there). Raises Failed."""
    return _exchange("POST", url, json.dumps(body).encode(), "application/json", token)


def put(url: str, file: Path, kind: str, token: str) -> dict[str, Any]:
    """As `post`, with a file's content. Raises Failed, FileNotFoundError when it is not there any more."""
    with file.open("rb") as content:
        return _exchange("PUT", url, content, kind, token, file.stat().st_size)


def _exchange(
    method: str, url: str, content: Any, kind: str, token: str, size: int | None = None
) -> dict[str, Any]:
    """Redirects are not followed: they would carry the token to whoever they name."""
    headers = {"Content-Type": kind, "Accept": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if size is not None:
        headers["Content-Length"] = str(size)
    connection: http.client.HTTPConnection | None = None
    try:
        parts = urllib.parse.urlsplit(url)
        connection = _connection(parts)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        text = response.read(MAX_ANSWER)
        if not 200 <= response.status < 300:
            raise Failed(f"answered {response.status}", response.status)
        answer = json.loads(text or b"{}")
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise Failed(f"{type(error).__name__}: {str(error)[:200]}") from error
    finally:
        if connection is not None:
            connection.close()
    return answer if isinstance(answer, dict) else {}


def _connection(parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("PUBLIC_URL is not an http or https address")
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=context)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)


class Pace:
    """When something may be tried next: at once, or after a failure ever later, each machine at its own moment."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0
        self.due_at = 0.0

    @property
    def is_well(self) -> bool:
        return self._failures == 0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.due_at

    def succeeded(self, next_s: float = 0.0) -> None:
        self._failures = 0
        self.due_at = time.monotonic() + next_s

    def failed(self) -> None:
        ceiling = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self.due_at = time.monotonic() + ceiling * jitter(0.5, 1.0)


def jitter(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, guards nothing
