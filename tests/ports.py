"""Ports of loopback for tests."""

from __future__ import annotations

import random
import socket
from functools import cache

# The kernel gives none of these to whoever asks for any port, or for none as who connects does: nobody takes a chosen one meanwhile.
OURS = range(20_000, 30_000)


def free() -> int:
    """One for a server that will start."""
    for port in random.sample(OURS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("none of a hundred ports is free")


@cache
def closed() -> int:
    """One that refuses connections for good: it is taken, and nobody listens there."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    port = int(taken.getsockname()[1])
    taken.detach()  # open as long as this process is
    return port
