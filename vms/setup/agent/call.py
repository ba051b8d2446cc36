"""One request to the running agent: JSON {method, path, body} in, JSON {status, body} out.

This is how the control plane speaks through SSH: exec works with every SSH server and through sudo, forwarding of unix sockets does not.
The request is written out here: http.client brings the libraries of mail and TLS, a third of the time that a question takes.
"""

from __future__ import annotations

import json
import socket
import time

from .files import short_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .files import AnyPath

MAX_ANSWER = 256 * 1024
RETRY_S = 0.05


class NoAnswer(Exception):
    """The agent does not listen, or not sensibly."""


def call(
    socket_path: AnyPath, token: str, request: dict[str, Any], *, wait_s: float, timeout_s: float = 30
) -> dict[str, Any]:
    """The agent's {status, body}. An agent that is only starting is waited for up to `wait_s`. Raises NoAnswer."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return _exchange(socket_path, token, request, timeout_s)
        except (FileNotFoundError, ConnectionError) as error:
            # An agent that is just being replaced cuts connections off; it may have acted already, so only a look is repeated.
            is_untaken = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            if not (is_untaken or request.get("method") == "GET") or time.monotonic() >= deadline:
                raise NoAnswer("the agent does not listen") from error
            time.sleep(RETRY_S)
        except (OSError, ValueError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _exchange(socket_path: AnyPath, token: str, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    body = request.get("body")
    content = b"" if body is None else json.dumps(body).encode()
    line = f"{request.get('method', 'GET')} {request.get('path', '/')}"
    if not line.isprintable() or len(line.split()) != 2:
        raise ValueError("a method and a path, without blanks")
    head = f"{line} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        with short_name(socket_path) as name:
            connection.connect(name)
        connection.sendall(head.encode() + content)
        with connection.makefile("rb") as answer:
            status = answer.readline(MAX_ANSWER).split()
            if not status:
                raise ConnectionResetError
            told = answer.read(MAX_ANSWER).partition(b"\r\n\r\n")[2]
    if len(status) < 2:
        raise ValueError("no answer in HTTP")
    return {"status": int(status[1]), "body": json.loads(told)}
