"""STOPPING: order the stop, then look until the provider says it happened."""

from __future__ import annotations

from datetime import datetime

from gamer.crash import crash_point
from vms.lifecycle import Phase
from vms.providers.base import MachineState, NotFound, Provider, ProviderError, Suspendable
from vms.reconcile.outcome import AccountNote, Advance, Fail, Outcome, Subject, Wait, later, price_at_rest
from vms.reconcile.steps import missing

LOOK_S = 3


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    assert subject.attempt is not None
    if not isinstance(provider, Suspendable):
        return Fail(error="cannot_stop", text=f"Machines of {provider.kind} cannot be stopped, only deleted.")
    try:
        provider.stop(subject.attempt.machine_id)
    except NotFound:
        return Fail(error="machine_lost", text="The machine vanished at the provider.")
    except ProviderError as error:
        return later(error, subject)
    crash_point("stop.after_call")
    return Wait(seconds=LOOK_S, vm={"action_sent_at": now}, account=AccountNote())


def wait(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    machine = subject.machine
    assert subject.attempt is not None
    if machine is None:
        found = missing.sought(subject, provider, now, pause_s=LOOK_S)
        if isinstance(found, Wait):
            return found
        if found is None:
            return Fail(error="machine_lost", text="The machine vanished at the provider.")
        machine = found
    if machine.state is MachineState.STOPPED:
        return Advance(
            phase=Phase.STOPPED,
            vm={"missing_since": None, "missing_looks": 0},
            attempt=price_at_rest(provider, machine, subject.attempt),
        )
    return Wait(seconds=LOOK_S)
