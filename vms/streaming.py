"""What Moonlight needs from outside: Wolf's fixed ports (the same inside and out; no client can be told others), and Wolf behind them."""

from __future__ import annotations

import http.client
import re

TCP_PORTS = (47984, 47989, 48010)
UDP_PORTS = (47999, 48100, 48200)
CONTROL_PORT = 47999  # `wolf_port` of the API
HTTP_PORT = 47989

TIMEOUT_S = 4.0
MAX_ANSWER = 64 * 1024
# Read as text, not as XML: the machine is a player's, and entities of its making are not expanded here.
STATE = re.compile(rb"<state>\s*SUNSHINE_SERVER_(FREE|BUSY)\s*</state>")


def unreachable_because(host: str, port: int = HTTP_PORT) -> str:
    """Asks Wolf at the machine's public address as Moonlight would; "" when it answers, else why it does not."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/serverinfo", headers={"Connection": "close"})
        response = connection.getresponse()
        answer = response.read(MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        return f"Port {port} of the machine does not answer: {type(error).__name__}."
    finally:
        connection.close()
    if response.status != 200 or not STATE.search(answer):
        return f"Something else than Wolf answers on port {port}."
    return ""
