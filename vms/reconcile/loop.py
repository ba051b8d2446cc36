"""One turn of the reconciler: claim what is due, look, write. The worker's half is in `acting.py`.

The reconciler looks and decides; rows whose next step acts wait for the worker, which is rung through the queue. A slow
provider holds up nobody else: its list runs in a thread, its rows stay leased, and the turn goes on.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gamer.crash import crash_point
from gamer.queue.enqueue import enqueue, waiting
from vms import offers, running_out
from vms.bills import note_difference
from vms.models import ProviderAccount
from vms.provider_accounts import open_provider as open_account
from vms.providers import base
from vms.reconcile import claims, liveness, loading, looking, orphans
from vms.reconcile.apply import aligned, note_account, written
from vms.reconcile.choosing import Chooser
from vms.reconcile.guard import AFTER_A_BUG_S, guarded, looked_at_later, noted, stored
from vms.reconcile.looking import Job, Look
from vms.reconcile.outcome import AccountNote, Subject, Wait
from vms.reconcile.steps import CHOOSE, decide
from vms.spending import watch_budgets

log = logging.getLogger(__name__)

BATCH = 1000
PER_TASK = 32
TASKS_AT_ONCE = 8
REFRESH_CALLS = 2
ACT = "vms.tasks.act"
# A clock that is slewed goes back by less.
STEPPED = timedelta(seconds=1)
# A provider that hangs keeps three: its offers, its list and its sweep. The others must not wait for that.
THREADS = 32


@dataclass(slots=True)
class Turn:
    """What one turn did: for the log, the benchmarks and the tests."""

    looked: int = 0
    applied: int = 0
    lists: int = 0
    hinted: int = 0


def ring_workers(tasks: int) -> None:
    """Asks the worker to act, once per task's worth of rows, unless it has been asked and not come yet.

    A lost ring is repeated by a later turn.
    """
    for _ in range(tasks - waiting(ACT)):
        enqueue(ACT)


class Reconciler:
    """Turns until told otherwise. With `threads=0` everything happens in the caller's thread, in order."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = claims.database_now,
        open_provider: Callable[[ProviderAccount], base.Provider] = open_account,
        ring: Callable[[int], None] = ring_workers,
        threads: int = THREADS,
    ) -> None:
        self.clock, self.open_provider, self.ring = clock, open_provider, ring
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="look") if threads else None
        self._waiting: dict[int, list[Look]] = defaultdict(list)
        self._running: dict[int, tuple[Job, Future[Job]]] = {}
        self._refreshing: dict[int, tuple[ProviderAccount, Future[Sequence[base.Offer] | AccountNote]]] = {}
        self._sweeps: set[int] = set()
        self._sweeping: dict[int, Future[orphans.Sweep]] = {}
        self._turned_at: datetime | None = None
        self._renewed_at: datetime | None = None
        self._budgets_at: datetime | None = None
        self._credit_at: datetime | None = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def turn(self, *, patience_s: float = 0.05) -> Turn:
        """One turn. What a slow provider keeps waiting goes on in the background and is written by a later turn."""
        now, turn = self.clock(), Turn()
        if self._turned_at is None or now < self._turned_at - STEPPED:
            self._set_back(now)
        self._turned_at = now
        self._refresh_offers(now)
        while True:
            lease = claims.claim(is_acting=False, now=now, limit=BATCH)
            crash_point("claim.after")
            self._sort(lease, now, turn)
            if len(lease.ids) < BATCH:
                break
        self._start_looks(now)
        self._finish_looks(turn, patience_s)
        self._sweep(now)
        self._watch_credit(now)
        self._watch_budgets(now)
        self._renew(now)
        turn.hinted = claims.due_for_a_hint(now=self.clock(), limit=PER_TASK * TASKS_AT_ONCE)
        if turn.hinted:
            crash_point("hint.before")
            self.ring(-(-turn.hinted // PER_TASK))
        return turn

    @property
    def is_busy(self) -> bool:
        return bool(self._running or self._refreshing or self._sweeping)

    def _set_back(self, now: datetime) -> None:
        """Before the first turn as well: the clock may have been put right while nobody looked."""
        if found := claims.set_back(now):
            log.warning("the database's clock went back: %s VMs were put off too long", found)

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        if self._pool is not None:
            return self._pool.submit(work)
        future: Future[Any] = Future()
        future.set_result(work())
        return future

    def _sort(self, lease: claims.Lease, now: datetime, turn: Turn) -> None:
        """Decides for each row: handed to the worker, settled here, or looked at with the others of its account."""
        rests: list[claims.Rest] = []
        chooser = Chooser(now)
        renewed = time.monotonic()
        for subject in loading.subjects(lease.ids):
            turn.looked += 1
            # A thousand launches take longer to place than a lease lasts.
            if time.monotonic() - renewed > claims.RENEW_S:
                renewed = time.monotonic()
                claims.renew([lease.token], self.clock())
            late = liveness.check(subject, now)
            if late is not None:
                turn.applied += written(subject, lease.token, late, now)
                continue
            step = decide(subject.vm, subject.attempt, subject.held, subject.sessions, now)
            account = loading.account_of(subject)
            if step is CHOOSE:
                turn.applied += _choose(chooser, subject, lease.token, now)
            elif step.settle is not None:
                turn.applied += written(subject, lease.token, step.settle(subject, now), now)
            elif step.look is not None and account is not None:
                self._waiting[account.pk].append(Look(subject, lease.token, step))
            else:
                # Due since when it was: nobody has done anything yet.
                since = subject.vm.next_look_at or now
                rests.append(claims.Rest(subject.vm.pk, lease.token, since, is_acting=True))
        claims.rest(rests)

    def _start_looks(self, now: datetime) -> None:
        """One job per account at a time; rows that come while it runs wait for the next one."""
        self._sweeps |= orphans.due(now)
        for account_id in ({*self._waiting} | self._sweeps) - {*self._running}:
            looks = self._waiting.pop(account_id, [])
            is_sweeping = account_id in self._sweeps and account_id not in self._sweeping
            self._sweeps.discard(account_id)
            account = ProviderAccount.objects.get(pk=account_id)
            provider = self._opened(account, now)
            if provider is None:
                later = now + timedelta(seconds=AFTER_A_BUG_S)
                claims.rest([claims.Rest(one.subject.vm.pk, one.token, later, False) for one in looks])
                continue
            calls = claims.take_calls(account_id, 1 + sum(look.calls for look in looks), now)
            job = Job(account, provider, looks, calls, now, is_sweeping)
            self._running[account_id] = job, self._submit(partial(looking.run, job))

    def _opened(self, account: ProviderAccount, now: datetime) -> base.Provider | None:
        """The account's adapter; None, and noted, for a row that names none or an impossible address."""
        try:
            return self.open_provider(account)
        except ValueError as error:
            note_account(account, AccountNote(error=str(error)[:300]), now)
            return None

    def _finish_looks(self, turn: Turn, patience_s: float) -> None:
        wait(
            [future for _, future in self._running.values()], timeout=patience_s, return_when=FIRST_COMPLETED
        )
        for account_id in [one for one, (_, future) in self._running.items() if future.done()]:
            job = self._running.pop(account_id)[1].result()
            turn.lists += job.snapshot is not None
            self._write(job, turn)

    def _write(self, job: Job, turn: Turn) -> None:
        now = self.clock()
        rests = []
        for look, outcome in job.outcomes:
            told = liveness.shouted(look.subject, outcome, now)
            if isinstance(told, Wait) and told.is_plain:
                rests.append(
                    claims.Rest(look.subject.vm.pk, look.token, aligned(now, told.seconds), is_acting=False)
                )
            else:
                turn.applied += written(look.subject, look.token, told, now)
        claims.rest(rests)
        what = f"account={job.account.pk}"
        if job.note is not None:
            stored(partial(note_account, job.account, job.note, now), what)
        if job.is_sweeping and not (
            job.snapshot is not None and stored(partial(self._plan_sweep, job, now), what)
        ):
            orphans.postpone(job.account, now)

    def _plan_sweep(self, job: Job, now: datetime) -> None:
        assert job.snapshot is not None
        sweep = orphans.plan(job.account, job.snapshot, now)
        note_difference(job.account, job.snapshot, now)
        work = partial(orphans.carry_out, sweep, job.provider)
        failed = partial(orphans.failed, sweep)
        self._sweeping[job.account.pk] = self._submit(
            partial(guarded, work, failed, f"sweep account={job.account.pk}")
        )

    def _sweep(self, now: datetime) -> None:
        for account_id in [one for one, future in self._sweeping.items() if future.done()]:
            orphans.write(self._sweeping.pop(account_id).result(), now)

    def _refresh_offers(self, now: datetime) -> None:
        for account in offers.due(now):
            if account.pk in self._refreshing:
                continue
            if claims.take_calls(account.pk, REFRESH_CALLS, now) < REFRESH_CALLS:
                offers.postpone(account, now)
                continue
            provider = self._opened(account, now)
            if provider is not None:
                work = partial(offers.fetch, provider)
                what = f"offers account={account.pk}"
                self._refreshing[account.pk] = (account, self._submit(partial(guarded, work, noted, what)))
        for account_id in [one for one, (_, future) in self._refreshing.items() if future.done()]:
            account, future = self._refreshing.pop(account_id)
            stored(partial(self._keep_offers, account, future.result()), f"offers account={account_id}")

    def _keep_offers(self, account: ProviderAccount, found: Sequence[base.Offer] | AccountNote) -> None:
        if isinstance(found, AccountNote):
            note_account(account, found, self.clock())
        else:
            offers.store(account, found, self.clock())
            note_account(account, AccountNote(), self.clock())

    def _watch_credit(self, now: datetime) -> None:
        """Asked every few seconds whichever way the clock goes, done twice a minute, by one of all reconcilers."""
        if self._credit_at is None or abs(now - self._credit_at) >= running_out.ASK_EVERY:
            self._credit_at = now
            if running_out.take_turn(now):
                stored(partial(running_out.look, now), "credit")

    def _watch_budgets(self, now: datetime) -> None:
        """Asked every few seconds whichever way the clock goes, done every quarter of a minute, by one of all reconcilers."""
        if self._budgets_at is None or abs(now - self._budgets_at) >= running_out.ASK_EVERY:
            self._budgets_at = now
            stored(partial(watch_budgets, now), "budgets")

    def _renew(self, now: datetime) -> None:
        """Keeps the rows of slow looks ours."""
        held = {look.token for looks in self._waiting.values() for look in looks}
        held |= {look.token for job, _ in self._running.values() for look in job.looks}
        if held and (self._renewed_at is None or now - self._renewed_at > timedelta(seconds=claims.RENEW_S)):
            self._renewed_at = now
            claims.renew(held, now)


def _choose(chooser: Chooser, subject: Subject, token: uuid.UUID, now: datetime) -> bool:
    """As `Chooser.run`; a launch that cannot be placed, such as at a price that no column holds, is looked at later."""

    def rested(text: str) -> bool:
        return written(subject, token, looked_at_later(text), now)

    return guarded(partial(chooser.run, subject, token), rested, f"choose vm={subject.vm.pk}")
