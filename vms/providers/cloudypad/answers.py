"""Reads what the tool says: errors in the seam's words, and a machine's state. Pure.

It logs to stdout, in colours, and ends with 0 for much that failed; errors carry the cloud's own text in their chain of causes. The texts
are the clouds' error codes and messages, and those of the tool that runs of 0.45.1 showed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vms.providers.address import usable_ip
from vms.providers.base import (
    BadCredentials,
    MachineState,
    NoCapacity,
    NotFound,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Unavailable,
)

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CAUSE = re.compile(r"Caused by \(\d+\): (?:\w*Error: )?(.+)")
_RETRY_AFTER = re.compile(r"retry[-_ ]?after\W{1,4}(\d{1,5})", re.I)
# Where in its own source, or its libraries', the tool stumbled: full of numbers that look like HTTP statuses.
_TRACE = re.compile(r"\.[cm]?[jt]s:\d+|^•")
_EVENT = re.compile(r"\btype\W{1,4}([a-z]+-(?:begin|end)|init)\b")

# Asked in this order: a quota is often worded as a refusal, and a refusal of credentials as a missing thing.
_MEANINGS: Sequence[tuple[re.Pattern[str], type[ProviderError]]] = (
    (re.compile(r"Instance named '.*' does not exist"), NotFound),
    (
        re.compile(
            r"quota|VcpuLimitExceeded|InstanceLimitExceeded|AddressLimitExceeded|VolumeLimitExceeded|BILLING_DISABLED"
            r"|billing (account|is|has been|must be) .*(disabled|enabled|closed)|payment (method|required)|insufficient funds",
            re.I,
        ),
        QuotaExceeded,
    ),
    (
        re.compile(
            r"RESOURCE_POOL_EXHAUSTED|does not have enough resources|InsufficientInstanceCapacity|SkuNotAvailable|AllocationFailed"
            r"|OverconstrainedAllocation|out[ _]of[ _](stock|capacity)|not enough capacity|no capacity|InsufficientCapacity"
            r"|currently unavailable in (the|this) (zone|region|location)",
            re.I,
        ),
        NoCapacity,
    ),
    (
        re.compile(
            r"Could not load (the )?(default )?credentials|invalid_grant|UNAUTHENTICATED|InvalidClientTokenId|AuthFailure"
            r"|UnrecognizedClient|SignatureDoesNotMatch|ExpiredToken|CredentialsProviderError|AADSTS\d+|InvalidAuthentication"
            r"|AuthorizationFailed|UnauthorizedOperation|PERMISSION_DENIED|denied_authentication|insufficient permissions"
            r"|(Scaleway|Paperspace) (configuration|credentials?) (is|are) not valid|invalid (api|access) key|\b401\b|Unauthorized"
            r"|CredentialUnavailable",
            re.I,
        ),
        BadCredentials,
    ),
    (
        re.compile(
            r"TooManyRequests|RequestLimitExceeded|Throttling|rateLimitExceeded|rate limit|\b429\b|\b50[234]\b|Service Unavailable"
            r"|ETIMEDOUT|ECONNRESET|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|socket hang up|timed out|stack is currently locked"
            r"|spawn \S+ ENOENT|cannot be run",
            re.I,
        ),
        Unavailable,
    ),
    (
        re.compile(
            r"error: (unknown|missing|option|required)|ZodError|initialization cancelled|Failed to prompt input|already exists"
            r"|Invalid (parameter|value|instance|machine|zone)|InvalidParameter|not supported in your requested|NotSupported"
            r"|(machine|instance|accelerator) ?type.*(not found|does not exist|invalid)",
            re.I,
        ),
        Rejected,
    ),
)
# Everywhere but at Paperspace, which says so.
DEFAULT_USER = "ubuntu"
# The tool asked what nobody answers; its exit code says success.
CANCELLED = "initialization cancelled"

_STATES: Mapping[str, MachineState] = {
    "running": MachineState.RUNNING,
    "starting": MachineState.PENDING,
    "restarting": MachineState.PENDING,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.STOPPED,
}


class Unreadable(ValueError):
    """The answer is not one of the known shapes. The text never quotes it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the tool told of a machine, and when (POSIX seconds). `raw` is redacted."""

    at: float
    doing: MachineState
    ip: str
    user: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error the tool told us. `meaning` is None for a text that nobody has met yet."""

    meaning: type[ProviderError] | None
    text: str
    retry_after: float | None = None

    def error(self, otherwise: type[ProviderError], said: str) -> ProviderError:
        """The seam's error, `said` being the text fit to be shown."""
        kind = self.meaning or otherwise
        return Unavailable(said, retry_after=self.retry_after) if kind is Unavailable else kind(said)


def failure_in(text: str) -> Failure:
    """What the tool's last words mean. The line that tells is quoted, or else its deepest cause, or else its last line."""
    lines = [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    lines = [line for line in lines if not _TRACE.search(line)]
    wait = _RETRY_AFTER.search(text)
    retry_after = float(wait[1]) if wait else None
    for pattern, meaning in _MEANINGS:
        told = [line for line in lines if pattern.search(line)]
        if told:
            # A cause says it in a sentence; what else matches may be a dump of everything the tool knows.
            causes = [line for line in told if _CAUSE.search(line)]
            return Failure(meaning, _plain(causes[-1] if causes else min(told, key=len)), retry_after)
    causes = [match[1] for line in lines if (match := _CAUSE.search(line))]
    return Failure(None, causes[-1] if causes else lines[-1] if lines else "no answer", retry_after)


def _plain(line: str) -> str:
    cause = _CAUSE.search(line)
    return cause[1] if cause else line


def names_in(text: str) -> list[str]:
    """The answer to `list --format json`. Raises Unreadable for anything else: what is missing here counts as gone."""
    lines = _COLOURS.sub("", text).strip().splitlines()
    if not lines:
        raise Unreadable("an empty answer")
    if lines[-1].strip() == "No instances found.":
        return []
    try:
        names = json.loads(lines[-1])
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unreadable("no list of names")
    return names


def state_in(text: str) -> dict[str, Any]:
    """The answer to `get`: JSON over many lines, perhaps after warnings. Raises Unreadable."""
    lines = _COLOURS.sub("", text).splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip() == "{"), None)
    if start is None:
        raise Unreadable("no state")
    try:
        state = json.loads("\n".join(lines[start:]))
    except ValueError:
        state = None
    if not isinstance(state, dict) or not isinstance(state.get("status"), dict):
        raise Unreadable("no state with a status")
    return state


def events_in(state_text: str) -> list[str]:
    """What the tool has noted in its state file so far: `provision-begin`, `provision-end`, …"""
    return _EVENT.findall(state_text)


def machine_state(state: Mapping[str, Any]) -> MachineState:
    """What a machine is doing. It runs only once it is configured; one that was deleted at its stop is stopped."""
    status = state["status"]
    known = _STATES.get(str(status.get("serverStatus")), MachineState.UNKNOWN)
    if known is MachineState.RUNNING and not (status.get("provisioned") and status.get("configured")):
        return MachineState.PENDING
    if (
        known is MachineState.UNKNOWN
        and _dig(state, "provision", "input", "runtime", "instanceServerState") == "absent"
    ):
        return MachineState.STOPPED
    return known


def address_of(state: Mapping[str, Any]) -> str:
    output = _dig(state, "provision", "output")
    told = output if isinstance(output, dict) else {}
    return usable_ip(told.get("publicIPv4")) or usable_ip(told.get("host"))


def user_of(state: Mapping[str, Any]) -> str:
    return str(_dig(state, "provision", "input", "ssh", "user") or DEFAULT_USER)


def _dig(node: Any, *steps: str) -> Any:
    for step in steps:
        node = node.get(step) if isinstance(node, dict) else None
    return node
