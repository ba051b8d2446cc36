"""Moonlight's pairing: who waits for a PIN, and the PIN handed to Wolf.

Wolf's secrets of pending requests stay on this machine; outside they are known by a hash. That a PIN was taken says little: paired is who
then stands in Wolf's list of clients.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

from .wolf import Wolf, WolfError

PIN = re.compile(r"[0-9]{4}")
# How long each request is given to become a client, and how many are tried: a caller waits for the answer.
CONFIRM_S = 3.0
MAX_TRIES = 4
MOST_NAMED = 4
TICK_S = 0.1


class BadPin(Exception):
    """Not four digits, for a request that is not there, or for none when strangers may wait as well."""


def state(wolf: Wolf) -> dict[str, Any]:
    """`pending` [{request_id, client_ip}], the newest first, and `clients` [client_id]. Raises WolfError."""
    pending = [{"request_id": _id_of(each), "client_ip": _ip_of(each)} for each in _pending(wolf)]
    return {"pending": pending, "clients": sorted(_clients(wolf))}


def pair(wolf: Wolf, pin: Any, request_id: Any = "") -> dict[str, Any]:
    """Hands the PIN to the request; without one to those who wait, the newest first, until Wolf has a new client.

    Raises WolfError, and BadPin also when no request is named and they come from more than one address: Wolf's port is open to the
    world, and who is given the PIN that somebody else's Moonlight shows can find it out, and be paired.
    """
    if not isinstance(pin, str) or not PIN.fullmatch(pin):
        raise BadPin("pin: four digits")
    waiting = [each for each in _pending(wolf) if not request_id or _id_of(each) == request_id]
    if not waiting:
        raise BadPin("no such request waits for a PIN")
    newest: dict[str, str] = {}
    for each in waiting:
        # Who is of no known address may be anybody.
        newest.setdefault(_ip_of(each) or _id_of(each), _id_of(each))
    if len(newest) > 1:
        named = [f"{request} from {address}" for address, request in newest.items()]
        raise BadPin(f"several devices wait, say which as request_id: {', '.join(named[:MOST_NAMED])}")
    before = _clients(wolf)
    for request in waiting[:MAX_TRIES]:
        try:
            wolf.post("/pair/client", {"pair_secret": str(request.get("pair_secret")), "pin": pin})
        except WolfError:
            continue  # a stale entry; some versions keep them
        new = _new_client(wolf, before)
        if new:
            return {"is_paired": True, "client_id": new}
    return {"is_paired": False, "client_id": None}


def _new_client(wolf: Wolf, before: set[str]) -> str:
    deadline = time.monotonic() + CONFIRM_S
    while True:
        new = _clients(wolf) - before
        if new:
            return min(new)
        if time.monotonic() >= deadline:
            return ""
        time.sleep(TICK_S)


def _pending(wolf: Wolf) -> list[dict[str, Any]]:
    # Every failed try makes another secret; Wolf lists the oldest first.
    return wolf.rows("/pair/pending", "requests")[::-1]


def _clients(wolf: Wolf) -> set[str]:
    return {str(each.get("client_id")) for each in wolf.rows("/clients", "clients")}


def _id_of(request: dict[str, Any]) -> str:
    return hashlib.sha256(str(request.get("pair_secret")).encode()).hexdigest()[:16]


def _ip_of(request: dict[str, Any]) -> str:
    # Old versions wrote the address under the name of the PIN.
    return str(request.get("client_ip") or request.get("pin") or "")[:60]
