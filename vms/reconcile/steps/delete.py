"""DELETING: order the end of every machine this VM may have, and prove each gone before the VM may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from gamer.crash import crash_point
from vms.lifecycle import Phase
from vms.models import Attempt
from vms.providers.base import NotFound, Provider, ProviderError
from vms.reconcile.outcome import AccountNote, Advance, Outcome, Subject, Wait, is_proven_absent, later

LOOK_S = 2
SLOW_LOOK_S = 10
SLOWER_BY, SLOWEST_S = 10, 30  # after a minute every six seconds, after five minutes twice a minute


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Orders the deletes. `provider` is the account of the current attempt; machines elsewhere are the sweep's."""
    failed: ProviderError | None = None
    for attempt in subject.to_end:
        if not attempt.machine_id:
            continue
        try:
            provider.delete(attempt.machine_id)
        except ProviderError as error:
            failed = error
    if failed is not None:
        return _refused(failed, subject, now)
    crash_point("delete.after_call")
    return Wait(seconds=LOOK_S, vm={"action_sent_at": now}, account=AccountNote())


def _refused(error: ProviderError, subject: Subject, now: datetime) -> Wait:
    """The same again, the less often the longer it is refused: a machine that alone does not go uses up its account's calls else."""
    again = later(error, subject)
    assert again.account is not None
    waited_s = (now - subject.vm.phase_since).total_seconds()
    return replace(
        again,
        seconds=max(again.seconds, min(waited_s / SLOWER_BY, SLOWEST_S)),
        account=replace(again.account, of_one_machine=True),
    )


def confirm(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """Absent from a list and unknown by its id: gone. An order whose machine was never seen must stay unseen for a while."""
    if subject.snapshot is None:
        return Wait(seconds=LOOK_S)
    changes: dict[int, Mapping[str, Any]] = {}
    is_found = False
    for attempt in subject.to_end:
        machine = subject.snapshot.find(attempt)
        if machine is not None:
            if not attempt.machine_id:
                is_found = True
                changes[attempt.pk] = {"machine_id": machine.machine_id, "answered_at": now}
            continue
        if attempt.machine_id:
            try:
                provider.get(attempt.machine_id)
            except NotFound:
                changes[attempt.pk] = {"gone_at": now, "closed_at": attempt.closed_at or now}
            except ProviderError as error:
                return later(error, subject)
            continue
        changes[attempt.pk] = _unseen(attempt, now)
    waited = (now - (subject.vm.action_sent_at or subject.vm.phase_since)).total_seconds()
    again = {"action_sent_at": None} if is_found else {}
    return Wait(
        seconds=0 if is_found or _all_gone(subject, changes) else LOOK_S if waited < 20 else SLOW_LOOK_S,
        vm=again,
        others=changes,
    )


def close(subject: Subject, now: datetime) -> Outcome:
    """Nothing is left: the VM ends, FAILED when it was given up for an error."""
    never_sent = {
        attempt.pk: {"gone_at": now, "closed_at": attempt.closed_at or now} for attempt in subject.held
    }
    phase = Phase.FAILED if subject.vm.error else Phase.DELETED
    return Advance(phase=phase, vm={"ended_at": now}, others=never_sent)


def _unseen(attempt: Attempt, now: datetime) -> dict[str, Any]:
    since, looks = attempt.unseen_since or now, attempt.unseen_looks + 1
    if is_proven_absent(since, looks, now):
        return {"gone_at": now, "closed_at": attempt.closed_at or now}
    return {"unseen_since": since, "unseen_looks": looks}


def _all_gone(subject: Subject, changes: Mapping[int, Mapping[str, Any]]) -> bool:
    return all("gone_at" in changes.get(attempt.pk, {}) for attempt in subject.held if attempt.sent_at)
