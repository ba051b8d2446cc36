"""Pairing Moonlight with a VM's Wolf: who waits, and the PIN handed over. Asked of the machine itself, at once: a player looks at a PIN.

Nothing is kept here; a machine's list of clients is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from accounts.principal import Principal
from events.services import record
from gamer.errors import InvalidState, ProviderUnavailable, bad_field
from vms import setup
from vms.lifecycle import Status
from vms.models import VM
from vms.reconcile.apply import happening
from vms.reconcile.outcome import Subject
from vms.reconcile.steps.setup import target_of

Answer = TypeVar("Answer")
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """A Moonlight that shows a PIN. `client_ip` is its address as the machine sees it."""

    request_id: str
    client_ip: str


@dataclass(frozen=True, slots=True)
class Pairing:
    pending: Sequence[Waiting]
    paired_clients: int


@dataclass(frozen=True, slots=True)
class Paired:
    """`is_paired` False: the PIN was handed over, and no new client came of it. Moonlight shows whether it was wrong."""

    is_paired: bool


def state(*, vm: VM) -> Pairing:
    """Who waits for a PIN, the newest first. Raises InvalidState, ProviderUnavailable."""
    answer = _asked(vm, setup.pairing)
    try:
        waiting = [
            Waiting(str(one["request_id"])[:64], str(one["client_ip"])[:60]) for one in answer["pending"]
        ]
        return Pairing(waiting[:MOST_SHOWN], len(answer["clients"]))
    except (KeyError, TypeError) as error:
        raise _silent() from error


def pair(*, vm: VM, by: Principal, pin: str, request_id: str = "", now: datetime) -> Paired:
    """Hands the PIN to the request, or without one to the newest. Raises InvalidState, ValidationError, ProviderUnavailable."""
    answer = _asked(vm, lambda target: setup.pair(target, pin, request_id))
    is_paired = answer.get("is_paired") is True
    if is_paired:
        record(happening(vm, "paired", {"client_id": str(answer.get("client_id"))[:40]}, now, by.label))
    return Paired(is_paired)


def _asked(vm: VM, ask: Callable[[setup.Target], dict[str, Any]]) -> dict[str, Any]:
    if vm.status is not Status.RUNNING:
        raise InvalidState(f"The VM is {vm.status}; pair with it when it is running.")
    try:
        return ask(target_of(Subject(vm, vm.attempt, [], [])))
    except setup.AgentRefused as error:
        raise bad_field("pin", str(error)) from error
    except setup.SshError as error:
        raise _silent() from error


def _silent() -> ProviderUnavailable:
    return ProviderUnavailable("The machine does not answer at the moment. Try again.", retry_after=2)
