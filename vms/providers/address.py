"""Addresses as vendors tell them."""

from __future__ import annotations

import ipaddress
from typing import Any

# What some show for "none yet": RFC 5737's first example network is nobody's.
_NOBODYS = ipaddress.ip_network("192.0.2.0/24")


def usable_ip(value: Any) -> str:
    """ "" until there is a usable address: empty, absent, a name, 0.0.0.0 and 192.0.2.1 all mean not yet."""
    try:
        address = ipaddress.ip_address(str(value or "").strip())
    except ValueError:
        return ""
    return "" if address.is_unspecified or address in _NOBODYS else str(address)
