"""READY, and the VM leaves its machine: games are ended and saves fetched first. A planned end waits two minutes for that, no longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gamer.crash import crash_point
from vms import setup
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt, GameSession
from vms.providers import registry
from vms.providers.base import Provider
from vms.reconcile.outcome import Advance, Note, Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps import move, saving
from vms.reconcile.steps.setup import target_of

PATIENCE = timedelta(minutes=2)
# One that never comes to its own end, whatever the reason, is passed over so much later: the machine costs money meanwhile.
GIVE_UP = PATIENCE + timedelta(seconds=60)
RETRY_S, AGAIN_S = 5, 2
# Nothing will be different the next time.
FOR_GOOD = (setup.AgentRefused, setup.HostKeyMismatch)
Status = GameSession.Status


def is_due(vm: VM, attempt: Attempt | None, now: datetime) -> bool:
    """Whether there is a machine that can be asked for what it keeps, and may still answer."""
    kind = registry.KINDS.get(attempt.account.kind) if attempt is not None else None
    return kind is not None and kind.has_shell and not is_given_up(vm, now)


def is_given_up(vm: VM, now: datetime) -> bool:
    return vm.parting_since is not None and now - vm.parting_since >= GIVE_UP


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Done when the machine says that nothing waits there any more. `parting_since` was written before it is asked first."""
    first = subject.vm.parting_since or now
    if not provider.has_shell:
        return _go_on(subject, now)
    try:
        collected = setup.collect_saves(
            target_of(subject),
            subject.stored,
            partial(saving.refusal, subject),
            ending=[str(one.pk) for one in subject.sessions],
            is_last=True,
        )
    except setup.SshError as error:
        if now - first < PATIENCE and not isinstance(error, FOR_GOOD):
            return Wait(seconds=RETRY_S)
        return _go_on(subject, now, [Note("save_at_risk", {"why": str(error)[:300]})])
    crash_point("part.after_call")
    brought = saving.found(subject, collected)
    if collected.fetched or collected.left:
        # Taken first; that all are stored is seen when the machine is asked again.
        if now - first < PATIENCE:
            pause = 0 if first == now else AGAIN_S
            return Wait(seconds=pause, sessions=_ended(subject), **brought)
        lost = len(collected.fetched) + collected.left
        told = [
            *brought["notes"],
            Note("saves_lost", {"why": "they could not be taken in time", "versions": lost}),
        ]
        return _go_on(subject, now, **{**brought, "notes": told})
    odd = [Note("save_at_risk", {"why": why}) for why in collected.unpacked]
    return _go_on(subject, now, **{**brought, "notes": [*brought["notes"], *odd]})


def give_up(subject: Subject, now: datetime) -> Outcome:
    """The machine is left without a word from it."""
    return _go_on(
        subject, now, [Note("save_at_risk", {"why": "the machine could not be asked for its saves"})]
    )


def _ended(subject: Subject) -> list[SessionChange]:
    """A VM that moves keeps what waits to be played, for the machine that comes."""
    over = [one for one in subject.sessions if not _is_moving(subject) or one.status == Status.LAUNCHED]
    return [SessionChange(one.pk, Status.ENDED, "the machine is ending") for one in over]


def _is_moving(subject: Subject) -> bool:
    return subject.vm.desired == Desired.RUNNING


def _go_on(subject: Subject, now: datetime, notes: Sequence[Note] = (), **brought: Any) -> Outcome:
    if _is_moving(subject):
        leaving: Outcome = move.depart(subject, now)
    else:
        is_over = subject.vm.desired == Desired.GONE
        leaving = Advance(phase=Phase.DELETING if is_over else Phase.STOPPING)
    return replace(leaving, sessions=_ended(subject), notes=[*leaving.notes, *notes], **brought)
