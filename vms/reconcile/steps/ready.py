"""READY: the player plays; see that the machine is still there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from vms.lifecycle import Desired, Phase
from vms.providers.base import MachineState, Provider
from vms.reconcile import idle
from vms.reconcile.outcome import Advance, Fail, Note, Outcome, Subject, Wait, price_at_rest
from vms.reconcile.steps import missing, play, saving

LOOK_S = 30
MISSING_LOOK_S = 10
WAITED_FOR_S = 3
BY_ITSELF = "the machine stopped by itself"


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    vm = subject.vm
    is_waited_for = any(play.is_wanted(session) for session in subject.sessions)
    pause = WAITED_FOR_S if is_waited_for else LOOK_S
    # Looked: the game may be asked for again.
    again: dict[str, Any] = {"action_sent_at": None} if vm.action_sent_at is not None else {}
    if subject.snapshot is None or subject.snapshot.taken_at <= vm.phase_since:
        return Wait(seconds=pause, vm=again)
    machine = subject.machine
    assert subject.attempt is not None
    if machine is None:
        found = missing.sought(subject, provider, now, pause_s=MISSING_LOOK_S)
        if isinstance(found, Wait):
            return replace(found, vm={**again, **found.vm})
        if found is None:
            text = "The machine vanished at the provider."
            return Fail(error="machine_lost", text=text, notes=saving.lost(subject, "saves_lost", text))
        machine = found
    if machine.state is MachineState.STOPPED:
        # The machine's own clock, or the provider (no balance, a reclaimed GPU): we accept it rather than fight it.
        return Advance(
            phase=Phase.STOPPED,
            vm={"desired": Desired.STOPPED, "missing_since": None, "missing_looks": 0},
            attempt=price_at_rest(provider, machine, subject.attempt),
            notes=(
                Note("power_off", {"reason": BY_ITSELF}),
                # They are on its disk, until it is started again or deleted.
                *saving.lost(subject, "save_at_risk", BY_ITSELF),
            ),
        )
    if vm.missing_looks:
        again |= {"missing_since": None, "missing_looks": 0}
    return idle.checked(Wait(seconds=pause, vm=again), vm, subject.attempt, provider, machine, now)
