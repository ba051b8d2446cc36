"""STOPPED: the machine waits for its player; start it when they come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings

from gamer.crash import crash_point
from gamer.moments import written
from vms.lifecycle import Desired, Phase
from vms.models import VM, GameSession
from vms.providers.base import (
    BadCredentials,
    MachineState,
    NoCapacity,
    NotFound,
    Provider,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Suspendable,
)
from vms.reconcile.liveness import deletes_at
from vms.reconcile.outcome import (
    AccountNote,
    Advance,
    Fail,
    Note,
    Outcome,
    SessionChange,
    Subject,
    Wait,
    later,
    note_of,
)
from vms.reconcile.steps import missing

LOOK_S = 60
MISSING_LOOK_S = 15
# So long before it is deleted its player hears of it; half the time it is kept, where that is shorter.
WARN = timedelta(hours=24)
RUNS = "the stopped machine runs"
FOUND = {"missing_since": None, "missing_looks": 0}
# Since the first try. A vendor may answer every start of one machine with an error that passes elsewhere.
GIVE_UP = timedelta(minutes=10)


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    vm = subject.vm
    is_too_old = subject.snapshot is None or subject.snapshot.taken_at <= vm.phase_since
    machine = None if is_too_old else subject.machine
    if machine is None and not is_too_old:
        found = missing.sought(subject, provider, now, pause_s=MISSING_LOOK_S)
        if isinstance(found, Wait):
            return found
        if found is None:
            return Fail(error="machine_lost", text="The stopped machine vanished at the provider.")
        machine = found
    if machine is not None and machine.state is MachineState.RUNNING and isinstance(provider, Suspendable):
        # Somebody started it at the provider, or a start that nobody heard of came through after all.
        why = {"from": vm.phase, "reason": RUNS}
        return Advance(phase=Phase.STOPPING, vm=FOUND, notes=(Note("stopping", why),))
    return _warned(Wait(seconds=LOOK_S, vm=FOUND if vm.missing_looks else {}), vm, now)


def _warned(outcome: Wait, vm: VM, now: datetime) -> Wait:
    """The look's outcome, with the warning of the deletion once it is near: what its player installed goes with the disk."""
    ends_at = deletes_at(vm)
    if ends_at is None:
        return outcome
    due_at = ends_at - min(WARN, (ends_at - vm.phase_since) / 2)
    if now < due_at or (vm.end_warned_at is not None and vm.end_warned_at >= due_at):
        return outcome
    hours = settings.STOPPED_KEEP_HOURS
    told = {"ends_at": written(ends_at), "reason": f"A stopped VM is kept for {hours} h."}
    note = Note("end_warning", told)
    return replace(outcome, vm={**outcome.vm, "end_warned_at": now}, notes=(*outcome.notes, note))


def start(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Starts the same machine. It is never replaced silently: without capacity the VM stays stopped and says so."""
    assert subject.attempt is not None
    if not isinstance(provider, Suspendable):
        return Fail(error="cannot_start", text=f"Machines of {provider.kind} cannot be started again.")
    try:
        provider.start(subject.attempt.machine_id)
    except (NoCapacity, Rejected, QuotaExceeded, BadCredentials) as error:
        speaks_of_account = isinstance(error, QuotaExceeded | BadCredentials)
        return _refused(subject, error, note_of(error) if speaks_of_account else AccountNote())
    except NotFound:
        return Fail(error="machine_lost", text="The stopped machine vanished at the provider.")
    except ProviderError as error:
        first = subject.vm.action_sent_at or now
        if now - first >= GIVE_UP:
            return _refused(subject, error, note_of(error))
        return replace(later(error, subject), vm={"action_sent_at": first})
    crash_point("start.after_call")
    # It was warned of its deletion, if of anything: what ends it from here on is another end.
    return Advance(phase=Phase.BOOTING, vm={"end_warned_at": None}, account=AccountNote())


def _refused(subject: Subject, error: ProviderError, account: AccountNote) -> Wait:
    """What waited to be played ends: nobody shall find it launched by a start days later, nor its save slot taken until then."""
    reason = str(error)[:300]
    wish = {"desired": Desired.STOPPED, "action_sent_at": None}
    over = [SessionChange(one.pk, GameSession.Status.ENDED, reason) for one in subject.sessions]
    refused = Note("start_refused", {"reason": reason})
    return Wait(seconds=LOOK_S, vm=wish, sessions=over, notes=(refused,), account=account)
