"""Looking at machines: one `list()` per provider account for all that wait there, diffed in memory. No database here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from gamer.context import about
from vms.models import ProviderAccount
from vms.providers.base import Machine, Provider, ProviderError
from vms.reconcile.guard import guarded, looked_at_later, noted
from vms.reconcile.outcome import AccountNote, Outcome, Snapshot, Subject, Wait, note_of, retry_in
from vms.reconcile.steps import Step


@dataclass(slots=True)
class Look:
    """A claimed row on its way through a look."""

    subject: Subject
    token: UUID
    step: Step

    @property
    def calls(self) -> int:
        """Provider calls it may make itself: what lists do not show is asked for."""
        return self.step.calls or int(self.subject.vm.missing_looks > 0)


@dataclass(slots=True)
class Job:
    """All looks at one account. `calls` is how many provider calls the account's pace allows, the list included."""

    account: ProviderAccount
    provider: Provider
    looks: Sequence[Look]
    calls: int
    started_at: datetime
    is_sweeping: bool = False
    outcomes: list[tuple[Look, Outcome]] = field(default_factory=list)
    snapshot: Snapshot | None = None
    note: AccountNote | None = None


def run(job: Job) -> Job:
    """Takes the snapshot and asks every step. Runs in a thread: everything it says is written by the caller."""
    if job.calls < 1:
        job.outcomes = [(look, Wait(seconds=1)) for look in job.looks]
        return job
    machines = guarded(partial(_list, job.provider), noted, f"list account={job.account.pk}")
    if isinstance(machines, AccountNote):
        job.note = machines
        pause = retry_in(job.account.failures_in_a_row)
        job.outcomes = [(look, Wait(seconds=pause)) for look in job.looks]
        return job
    job.note = AccountNote()
    job.snapshot = Snapshot.of(job.account.pk, job.started_at, machines)
    left = job.calls - 1
    for look in job.looks:
        if look.calls > left:
            job.outcomes.append((look, Wait(seconds=1)))
            continue
        left -= look.calls
        look.subject.snapshot = job.snapshot
        assert look.step.look is not None
        work = partial(look.step.look, look.subject, job.provider, job.started_at)
        what = f"{look.step.name} vm={look.subject.vm.pk}"
        with about(vm=str(look.subject.vm.pk)):
            job.outcomes.append((look, guarded(work, looked_at_later, what)))
    return job


def _list(provider: Provider) -> Sequence[Machine] | AccountNote:
    try:
        return provider.list()
    except ProviderError as error:
        return note_of(error)
