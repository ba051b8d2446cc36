"""Which addresses a message may go to: the internet's, never those of our own network.

Whoever may name a webhook could otherwise have us ask the cloud's metadata service, or a neighbour behind the wall.
"""

from __future__ import annotations

import ipaddress
import socket

from events.channels.base import BadTarget, TryLater

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve(host: str, port: int, *, allows_local: bool) -> list[str]:
    """The addresses of a host, all of them fit to connect to. Raises BadTarget when one is not ours to reach, TryLater when
    the name is unknown now.

    The caller connects to one of these and never asks again: a second answer could be another.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TryLater("The host's name is not known.") from None
    texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allows_local and not all(
        is_public(ipaddress.ip_address(text.partition("%")[0])) for text in texts
    ):
        raise BadTarget("Leads into a private network.")
    return texts


def is_public(address: Address) -> bool:
    """Whether it is somewhere on the internet, also looking at what an IPv6 address carries inside."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator on the way would take out of this one."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
