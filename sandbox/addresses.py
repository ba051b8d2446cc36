"""Where instances answer: an address of their own (dedicated IP) or a port of their hostnode's, all in 127/8.

Every sandbox claims one 127.N network, so that several run side by side. Where only 127.0.0.1 exists (not Linux),
instances share it and differ by port.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import random
import socket

_CLAIM_PORT = 22999
_LOOPBACK = "127.0.0.1"


class Addresses:
    """Hands out addresses of the claimed network."""

    def __init__(self) -> None:
        self._claim: socket.socket | None = None
        self._network: int | None = None
        self._numbers = itertools.count(1)
        for network in random.sample(range(16, 251), 235):
            try:
                claim = bound(f"127.{network}.0.1", _CLAIM_PORT)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    break
                continue
            try:
                claim.listen()  # until one of them listens, several may be bound to an address
            except OSError:
                claim.close()
                continue
            self._claim, self._network = claim, network
            break

    def of_hostnode(self, number: int) -> str:
        return f"127.{self._network}.1.{number}" if self._network else _LOOPBACK

    def new(self) -> str:
        """An address no other instance has had in this process."""
        number = next(self._numbers)
        return f"127.{self._network}.{2 + number // 250}.{1 + number % 250}" if self._network else _LOOPBACK

    def may_have_port_22(self) -> bool:
        """Whether this process may bind port 22 on an address of its own."""
        if self._network is None:
            return False
        with contextlib.suppress(OSError):
            bound(f"127.{self._network}.0.2", 22).close()
            return True
        return False

    def close(self) -> None:
        if self._claim is not None:
            self._claim.close()


def bound(host: str, port: int) -> socket.socket:
    """A TCP socket bound and not yet listening: connections are refused, as while a machine boots."""
    # asyncio switches Nagle's algorithm off only where the protocol is named; without, answers take 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def bound_near(host: str, port: int) -> socket.socket:
    """Like `bound`, on any port where the wanted one is taken."""
    try:
        return bound(host, port)
    except OSError:
        return bound(host, 0)
