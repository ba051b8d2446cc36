"""Pairing Moonlight with a VM's Wolf: who waits, and the PIN handed over. Asked of the machine itself, at once: a player looks at a PIN.

Nothing is kept here; a machine's list of clients is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection, transaction

from accounts.principal import Principal
from events.services import record
from gamer.errors import InvalidState, ProviderUnavailable, RateLimited, bad_field
from vms import setup
from vms.lifecycle import Status
from vms.models import VM
from vms.reconcile.apply import happening
from vms.reconcile.outcome import Subject
from vms.reconcile.steps.setup import target_of

Answer = TypeVar("Answer")
MOST_SHOWN = 20
RETRY_S = 2
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('vms.pairing:' || %s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('vms.pairing:' || %s, 0))"


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
    """Who waits for a PIN, the newest first. Raises InvalidState, ProviderUnavailable, RateLimited during another look."""
    answer = _asked(vm, "look", setup.pairing)
    try:
        waiting = [
            Waiting(str(one["request_id"])[:64], str(one["client_ip"])[:60]) for one in answer["pending"]
        ]
        return Pairing(waiting[:MOST_SHOWN], len(answer["clients"]))
    except (KeyError, TypeError) as error:
        raise _silent() from error


def pair(*, vm: VM, by: Principal, pin: str, request_id: str = "", now: datetime) -> Paired:
    """Hands the PIN to the request, or without one to the newest, if all who wait are of one address.

    Raises InvalidState, ValidationError (several addresses wait, say), ProviderUnavailable, RateLimited while another PIN is handed over.
    """
    answer = _asked(vm, "pin", lambda target: setup.pair(target, pin, request_id))
    is_paired = answer.get("is_paired") is True
    if is_paired:
        with transaction.atomic():
            VM.objects.filter(pk=vm.pk).hold()
            record(happening(vm, "paired", {"client_id": str(answer.get("client_id"))[:40]}, now, by.label))
    return Paired(is_paired)


def _asked(vm: VM, what: str, ask: Callable[[setup.Target], dict[str, Any]]) -> dict[str, Any]:
    if vm.status is not Status.RUNNING:
        raise InvalidState(f"The VM is {vm.status}; pair with it when it is running.")
    try:
        with _alone(vm, what):
            return ask(target_of(Subject(vm, vm.attempt, [], [])))
    except setup.AgentRefused as error:
        raise bad_field("request_id", error.why) from error
    except setup.SshError as error:
        raise _silent() from error


@contextmanager
def _alone(vm: VM, what: str) -> Iterator[None]:
    """One asks, nobody queues: a silent machine holds one web process, not all. A PIN never waits for a look.

    The lock is the connection's, not a transaction's: none is open meanwhile, and a process that dies lets go of it.
    """
    key = [f"{what}:{vm.pk}"]
    with connection.cursor() as cursor:
        cursor.execute(LOCK, key)
        if cursor.fetchone() != (True,):
            raise RateLimited("The machine is being asked already. Try again.", retry_after=RETRY_S)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(UNLOCK, key)


def _silent() -> ProviderUnavailable:
    return ProviderUnavailable("The machine does not answer at the moment. Try again.", retry_after=RETRY_S)
