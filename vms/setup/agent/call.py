"""One request to the running agent: JSON {method, path, body} in, JSON {status, body} out.

This is how the control plane speaks through SSH: exec works with every SSH server and through sudo, forwarding of unix sockets does not.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

from .config import Config
from .files import short_name

MAX_ANSWER = 256 * 1024
RETRY_S = 0.05


class NoAnswer(Exception):
    """The agent does not listen, or not sensibly."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("agent", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_name(self._path) as name:
            self.sock.connect(name)


def call(config: Config, request: dict[str, Any], *, wait_s: float, timeout_s: float = 30) -> dict[str, Any]:
    """The agent's {status, body}. An agent that is only starting is waited for up to `wait_s`. Raises NoAnswer."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return _exchange(config, request, timeout_s)
        except (FileNotFoundError, ConnectionError) as error:
            # An agent that is just being replaced cuts connections off; it may have acted already, so only a look is repeated.
            is_untaken = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            if not (is_untaken or request.get("method") == "GET") or time.monotonic() >= deadline:
                raise NoAnswer("the agent does not listen") from error
            time.sleep(RETRY_S)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _exchange(config: Config, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    connection = UnixConnection(config.socket_path, timeout_s)
    headers = {"Authorization": f"Bearer {config.agent_token}", "Content-Type": "application/json"}
    body = request.get("body")
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(str(request.get("method", "GET")), str(request.get("path", "/")), content, headers)
        response = connection.getresponse()
        return {"status": response.status, "body": json.loads(response.read(MAX_ANSWER))}
    finally:
        connection.close()
