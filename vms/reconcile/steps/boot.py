"""BOOTING: the machine exists at the provider; wait until it runs and has an address."""

from __future__ import annotations

from datetime import datetime

from vms.lifecycle import Phase
from vms.providers.base import Machine, MachineState, Provider, ProviderError
from vms.reconcile.outcome import Advance, Fail, Outcome, Subject, Wait, next_offer, unstarted
from vms.reconcile.steps import missing, move
from vms.reconcile.steps.create import gone_wrong

# Often in the first minute, when most machines arrive; never rarer than every 10 s.
EARLY_S, LATE_S, EARLY_FOR_S = 2, 10, 60
MISSING_LOOK_S = 10


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    vm = subject.vm
    waited = (now - vm.phase_since).total_seconds()
    pause = EARLY_S if waited < EARLY_FOR_S else LATE_S
    if subject.snapshot is None or subject.snapshot.taken_at <= vm.phase_since:
        return Wait(seconds=pause)
    machine = subject.machine
    if machine is None:
        found = missing.sought(subject, provider, now, pause_s=MISSING_LOOK_S)
        if isinstance(found, Wait):
            return found
        if found is None:
            return _lost(subject, now)
        machine = found
    if machine.failure is not None:
        return _failed(subject, machine, machine.failure, now)
    if machine.state is MachineState.RUNNING and not machine.ip:
        machine = _in_full(provider, machine)
    if machine.state is MachineState.RUNNING and machine.ip:
        known = {"ip_address": machine.ip, "ssh_port": machine.ssh_port, "ssh_user": machine.ssh_user}
        seen = {"machine_raw": dict(machine.raw), "missing_since": None, "missing_looks": 0}
        seen["cloudypad_configured"] = provider.kind.startswith("cloudypad")
        return move.arrive(subject, Advance(phase=Phase.SETTING_UP, vm={**known, **seen}), now)
    if machine.state is MachineState.STOPPED and not subject.is_restart:
        return next_offer(
            subject,
            now,
            "StoppedByItself",
            "the machine stopped by itself while booting",
            cools="its machine stopped by itself",
        )
    if vm.missing_looks:
        return Wait(seconds=pause, vm={"missing_since": None, "missing_looks": 0})
    return Wait(seconds=pause)


def _lost(subject: Subject, now: datetime) -> Outcome:
    if subject.is_restart:  # a start never makes another machine silently
        return Fail(error="machine_lost", text="The machine vanished at the provider.")
    text = "the machine vanished while it was booting"
    return next_offer(subject, now, "Lost", text, cools="its machine vanished")


def _failed(subject: Subject, machine: Machine, failure: ProviderError, now: datetime) -> Outcome:
    """An order that had been taken."""
    if not subject.is_restart:
        return gone_wrong(subject, failure, now)
    # A start that went wrong says little of the machine: one that may run is stopped, or it would run unseen.
    is_stopped = machine.state is MachineState.STOPPED
    return unstarted(subject, Phase.STOPPED if is_stopped else Phase.STOPPING, str(failure))


def _in_full(provider: Provider, machine: Machine) -> Machine:
    """A list may tell less of a machine than a look at it does: TensorDock's rows have two shapes without an address."""
    try:
        return provider.get(machine.machine_id)
    except ProviderError:
        return machine
