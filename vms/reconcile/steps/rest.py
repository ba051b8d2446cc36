"""STOPPED: the machine waits for its player; start it when they come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from gamer.crash import crash_point
from vms.lifecycle import Desired, Phase
from vms.models import GameSession
from vms.providers.base import (
    BadCredentials,
    NoCapacity,
    NotFound,
    Provider,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Suspendable,
)
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
# Since the first try. A vendor may answer every start of one machine with an error that passes elsewhere.
GIVE_UP = timedelta(minutes=10)


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    vm = subject.vm
    is_too_old = subject.snapshot is None or subject.snapshot.taken_at <= vm.phase_since
    if subject.machine is None and not is_too_old:
        found = missing.sought(subject, provider, now, pause_s=MISSING_LOOK_S)
        if isinstance(found, Wait):
            return found
        if found is None:
            return Fail(error="machine_lost", text="The stopped machine vanished at the provider.")
    return Wait(seconds=LOOK_S, vm={"missing_since": None, "missing_looks": 0} if vm.missing_looks else {})


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
    return Advance(phase=Phase.BOOTING, account=AccountNote())


def _refused(subject: Subject, error: ProviderError, account: AccountNote) -> Wait:
    """What waited to be played ends: nobody shall find it launched by a start days later, nor its save slot taken until then."""
    reason = str(error)[:300]
    wish = {"desired": Desired.STOPPED, "action_sent_at": None}
    over = [SessionChange(one.pk, GameSession.Status.ENDED, reason) for one in subject.sessions]
    refused = Note("start_refused", {"reason": reason})
    return Wait(seconds=LOOK_S, vm=wish, sessions=over, notes=(refused,), account=account)
