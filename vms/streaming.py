"""What Moonlight needs from outside: Wolf's fixed ports (the same inside and out; no client can be told others), and Wolf behind them."""

from __future__ import annotations

import re
import socket
import time

TCP_PORTS = (47984, 47989, 48010)
UDP_PORTS = (47999, 48100, 48200)
CONTROL_PORT = 47999  # `wolf_port` of the API
HTTP_PORT = 47989

TIMEOUT_S = 4.0
MAX_ANSWER = 64 * 1024
OK = re.compile(rb"HTTP/1\.[01] 200\s")
# Read as text, not as XML: the machine is a player's, and entities of its making are not expanded here.
STATE = re.compile(rb"<state>\s*SUNSHINE_SERVER_(FREE|BUSY)\s*</state>")


def unreachable_because(host: str, port: int = HTTP_PORT, *, within_s: float = TIMEOUT_S) -> str:
    """Asks Wolf at the machine's public address as Moonlight would; "" when it answers, else why it does not."""
    try:
        answer = _answer(host, port, within_s)
    except OSError as error:
        return f"Port {port} of the machine does not answer: {type(error).__name__}."
    if not answer.startswith(b"HTTP/"):
        return f"Port {port} of the machine does not answer in HTTP."
    if not OK.match(answer) or not STATE.search(answer):
        return f"Something else than Wolf answers on port {port}."
    return ""


def _answer(host: str, port: int, within_s: float) -> bytes:
    """What is said until it holds a state. In that time as a whole: a byte now and then would keep a worker for days."""
    until = time.monotonic() + within_s
    answer = b""
    with socket.create_connection((host, port), timeout=within_s) as wire:
        name = f"[{host}]" if ":" in host else host
        # By 1.0, to which nobody answers in chunks.
        wire.sendall(f"GET /serverinfo HTTP/1.0\r\nHost: {name}:{port}\r\n\r\n".encode())
        while len(answer) < MAX_ANSWER and not STATE.search(answer):
            if (left_s := until - time.monotonic()) <= 0:
                raise TimeoutError
            wire.settimeout(left_s)
            if not (more := wire.recv(MAX_ANSWER - len(answer))):
                break
            answer += more
    return answer
