"""The vendor's observed faults, switched on by name.

A fault is taken at one of four points: when a request arrives (`REQUEST`), when a create is decided (`CREATE`), when
a machine is made (`MACHINE`: it carries the fault from then on), or when a start or a delete is decided (`ACTION`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

REQUEST = {
    "401": "bad token",
    "403": "token without the permission",
    "404": "not found",
    "429": "rate limited; args retry_after (seconds, null = no header)",
    "500_html": "an HTML error page",
    "502": "bad gateway",
    "503": "unavailable",
    "garbage_json": "200 with a body that is not JSON",
    "slow": "the answer takes longer; args seconds",
    "late": "carried out at once, and answered later; args seconds",
    "drop": "the connection is closed without an answer",
}
CREATE = {
    "stale_offer": "listed, but no node has it: HTTP 200 with status 400 inside",
    "no_public_ip": "no free public IP: HTTP 200 with status 400 inside",
    "validation_array": "400 with a top-level array; args errors",
    "balance_low": "need at least $…; args http_status, usd",
    "slow_create": "the machine is made and answered late; args seconds",
    "create_then_timeout": "the machine is made, the answer never comes; args hold_s, drop",
    "create_lands_late": "the answer is lost, the machine appears later; args after_s, hold_s",
}
MACHINE = {
    "list_without_new": "missing from the next lists; args lists",
    "port_remap": "external ports differ from those asked for",
    "port_drop": "no port is forwarded, nothing answers on 22",
    "never_running": "the status stays creating",
    "ip_never": "no address ever comes",
    "stops_by_itself": "args after_s",
    "vanished": "the machine is gone; args after_s",
    "ssh_refused": "nothing listens",
    "ssh_auth_fails": "no key is accepted",
    "host_key_ignored": "sshd never shows cloud-init's host key",
    "host_keys_remade": "cloud-init replaces host keys after write_files, until a command puts ours there and restarts ssh",
}
ACTION = {
    "start_refused": "400: the capacity is gone",
    "delete_slow": "the machine stays for longer; args seconds",
    "delete_fails": "500, nothing is deleted; args seconds (from the first refusal on) instead of times",
    "delete_times_out_but_succeeds": "deleted, the answer never comes; args hold_s, drop",
}
NAMES = {**REQUEST, **CREATE, **MACHINE, **ACTION}
MATCHES = ("method", "path", "name_prefix", "instance_id", "location_id", "hostnode_id", "gpu")
REQUEST_MATCHES = ("method", "path")
NUMBERS = ("seconds", "after_s", "hold_s", "lists", "usd", "http_status")


class BadFault(ValueError):
    """A fault that does not exist, or is described wrongly."""


@dataclass
class Fault:
    """A fault that is switched on. `left` counts how often it still strikes; None is for ever."""

    id: int
    name: str
    left: int | None
    match: dict[str, str]
    args: dict[str, Any]
    until: float | None = field(default=None)

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "times": self.left, "match": self.match, "args": self.args}

    def number(self, name: str, default: float) -> float:
        return float(self.args.get(name, default))


class Faults:
    """Those switched on now, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, body: object) -> Fault:
        """Switches a fault on from `{name, times?, match?, args?}`; raises BadFault."""
        if not isinstance(body, dict):
            raise BadFault("a fault is an object with a name")
        if unknown := set(body) - {"name", "times", "match", "args"}:
            raise BadFault(f"unknown: {', '.join(sorted(unknown))}")
        name, times = body.get("name"), body.get("times")
        match, args = body.get("match") or {}, body.get("args") or {}
        if name not in NAMES:
            raise BadFault(f"no fault is called {name!r}; there are {', '.join(sorted(NAMES))}")
        if times is not None and (type(times) is not int or times < 1):
            raise BadFault("times is a whole number from 1, or null for ever")
        if not isinstance(match, dict) or not isinstance(args, dict):
            raise BadFault("match and args are objects")
        if wrong := [key for key, value in args.items() if key in NUMBERS and not _is_number(value)]:
            raise BadFault(f"{', '.join(wrong)}: a number")
        allowed = REQUEST_MATCHES if name in REQUEST else MATCHES[2:]
        if unknown := set(match) - set(allowed):
            raise BadFault(f"{name} cannot match {', '.join(sorted(unknown))}, only {', '.join(allowed)}")
        fault = Fault(next(self._ids), name, times, {key: str(value) for key, value in match.items()}, args)
        self._faults.append(fault)
        return fault

    def clear(self, names: Iterable[str] | None = None) -> None:
        unwanted = None if names is None else set(names)
        self._faults = [each for each in self._faults if unwanted is not None and each.name not in unwanted]

    def as_json(self) -> list[dict[str, Any]]:
        return [each.as_json() for each in self._faults]

    def take(self, name: str, /, **facts: str) -> Fault | None:
        """The oldest fault of this name that strikes here, used up by one."""
        for fault in self._faults:
            if fault.name == name and _matches(fault.match, facts):
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left == 0:
                        self._faults.remove(fault)
                return fault
        return None

    def take_lasting(self, name: str, now: float, /, **facts: str) -> Fault | None:
        """Like `take`, for faults that may strike for a number of `seconds` from their first strike on."""
        for fault in [each for each in self._faults if each.name == name]:
            if not _matches(fault.match, facts):
                continue
            if "seconds" not in fault.args:
                return self.take(name, **facts)
            if fault.until is None:
                fault.until = now + fault.number("seconds", 0)
            if now < fault.until:
                return fault
            self._faults.remove(fault)
        return None

    def take_request(self, method: str, path: str) -> Fault | None:
        """The oldest fault that strikes this request."""
        for fault in self._faults:
            if fault.name in REQUEST and _matches(fault.match, {"method": method, "path": path}):
                return self.take(fault.name, method=method, path=path)
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _matches(match: dict[str, str], facts: dict[str, str]) -> bool:
    return all(_has(facts, key, wanted) for key, wanted in match.items())


def _has(facts: dict[str, str], key: str, wanted: str) -> bool:
    if key == "name_prefix":
        return facts.get("name", "").startswith(wanted)
    if key == "path":
        return facts.get("path", "").startswith(wanted)
    return facts.get(key) == wanted
