"""The worker's half: claim acting rows, run their I/O in threads, write each outcome as it comes, by the same guarded path."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from uuid import UUID

from django.db import transaction

from emulators.profile import Profile
from emulators.services import profile_for, saves
from gamer.context import about
from gamer.crash import crash_point
from gamer.errors import NotFound
from vms.models import VM, Attempt, GameSession, ProviderAccount, SetupStep
from vms.provider_accounts import open_provider as open_account
from vms.providers.base import Provider
from vms.reconcile import claims, liveness, loading
from vms.reconcile.apply import note_account, written
from vms.reconcile.guard import AFTER_A_BUG_S, guarded, looked_at_later, stored
from vms.reconcile.outcome import AccountNote, Outcome, Subject
from vms.reconcile.steps import CREATE, PART, PLAY, SETUP, WATCH, Step, decide
from vms.reconcile.steps.play import queued_in
from vms.setup import StepReport, StoredSave

log = logging.getLogger(__name__)

BATCH = 32
FLUSH_S = 0.5

Clock = Callable[[], datetime]
Open = Callable[[ProviderAccount], Provider]
Reports = SimpleQueue[tuple[int, StepReport]]


@dataclass(frozen=True, slots=True)
class Act:
    """One claimed row with its step and the provider to do it with."""

    subject: Subject
    step: Step
    provider: Provider

    def run(self, now: datetime) -> Outcome:
        assert self.step.act is not None
        work = partial(self.step.act, self.subject, self.provider, now)
        with about(vm=str(self.subject.vm.pk)):
            return guarded(work, looked_at_later, f"{self.step.name} vm={self.subject.vm.pk}")


class Actor:
    """Acts on one batch after another. With `threads=0` one row after the other, in the caller's thread."""

    def __init__(
        self, *, clock: Clock = claims.database_now, open_provider: Open = open_account, threads: int = BATCH
    ) -> None:
        self.clock, self.open_provider = clock, open_provider
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="act") if threads else None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def run_batch(self, limit: int = BATCH) -> int:
        """Claims and finishes one batch; returns how many rows it claimed."""
        now = self.clock()
        lease = claims.claim(is_acting=True, now=now, limit=limit)
        if not lease.ids:
            return 0
        crash_point("act.after_claim")
        reports: Reports = SimpleQueue()
        acts = list(self._prepare(lease, reports, now))
        crash_point("act.after_intent")
        running = {self._submit(act, now): act for act in acts}
        renewed = time.monotonic()
        while running:
            done, _ = wait(running, timeout=FLUSH_S, return_when=FIRST_COMPLETED)
            _flush(reports, self.clock())
            for future in done:
                act = running.pop(future)
                now = self.clock()
                written(act.subject, lease.token, liveness.shouted(act.subject, future.result(), now), now)
            if time.monotonic() - renewed > claims.RENEW_S:
                renewed = time.monotonic()
                claims.renew([lease.token], self.clock())
        return len(lease.ids)

    def _opened(self, account: ProviderAccount, now: datetime) -> Provider | None:
        try:
            return self.open_provider(account)
        except ValueError as error:
            note_account(account, AccountNote(error=str(error)[:300]), now)
            return None

    def _submit(self, act: Act, now: datetime) -> Future[Outcome]:
        if self._pool is not None:
            return self._pool.submit(act.run, now)
        future: Future[Outcome] = Future()
        future.set_result(act.run(now))
        return future

    def _prepare(self, lease: claims.Lease, reports: Reports, now: datetime) -> Iterator[Act]:
        """Decides for every row, writes the intents, and gives back what is not for us or not now."""
        rests: list[claims.Rest] = []
        wanted: dict[int, list[Act]] = defaultdict(list)
        for subject in loading.subjects(lease.ids, with_secrets=True):
            late = liveness.check(subject, now)
            if late is not None:
                written(subject, lease.token, late, now)
                continue
            step = decide(subject.vm, subject.attempt, subject.held, subject.sessions, now)
            account = loading.account_of(subject)
            if not step.is_acting or account is None:
                rests.append(claims.Rest(subject.vm.pk, lease.token, now, False))
                continue
            provider = self._opened(account, now)
            if provider is None:
                rests.append(
                    claims.Rest(subject.vm.pk, lease.token, now + timedelta(seconds=AFTER_A_BUG_S), True)
                )
                continue
            wanted[account.pk].append(Act(subject, step, provider))
        acts: list[Act] = []
        for account_id, mine in wanted.items():
            allowed = claims.take_calls(account_id, sum(act.step.calls for act in mine), now)
            for act in mine:
                if act.step.calls > allowed:
                    rests.append(
                        claims.Rest(act.subject.vm.pk, lease.token, now + timedelta(seconds=1), True)
                    )
                    continue
                allowed -= act.step.calls
                acts.append(act)
        claims.rest(rests)
        _write_intents(acts, lease.token, now)
        _write_partings(acts, lease.token, now)
        _write_watches(acts, lease.token, now)
        _listen_to_setup(acts, reports)
        _load_profiles(acts)
        _load_saves(acts)
        yield from acts


def _write_intents(acts: Sequence[Act], token: UUID, now: datetime) -> None:
    """`sent_at`, committed before any order leaves. Who finds it set never orders: it looks for the tag.

    Under the row locks of the VMs whose lease is still ours: who took a lease over may just be ending the VM.
    """
    attempts = {
        act.subject.attempt.pk: act.subject
        for act in acts
        if act.step is CREATE and act.subject.attempt is not None
    }
    if not attempts:
        return
    crash_point("create.before_intent")
    vms = VM.objects.filter(pk__in=[subject.vm.pk for subject in attempts.values()], lease_token=token)
    with transaction.atomic():
        ours = set(vms.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        for pk, subject in attempts.items():
            subject.may_send = subject.vm.pk in ours and bool(
                Attempt.objects.filter(pk=pk, sent_at=None, closed_at=None).update(sent_at=now)
            )
            assert subject.attempt is not None
            subject.attempt.sent_at = now


def _write_partings(acts: Sequence[Act], token: UUID, now: datetime) -> None:
    """When each machine was first asked for its saves, before it is: a step that never returns has its end, too."""
    first = {act.subject.vm.pk: act.subject for act in acts if act.step is PART}
    new = [pk for pk, subject in first.items() if subject.vm.parting_since is None]
    if new:
        VM.objects.filter(pk__in=new, lease_token=token).update(parting_since=now)
    for pk in new:
        first[pk].vm.parting_since = now


def _write_watches(acts: Sequence[Act], token: UUID, now: datetime) -> None:
    """When each machine was last asked how it is, before it is: one that outlasts its task is not due again at once."""
    asked = {act.subject.vm.pk: act.subject for act in acts if act.step is WATCH}
    if asked:
        VM.objects.filter(pk__in=asked, lease_token=token).update(watched_at=now)
    for subject in asked.values():
        subject.vm.watched_at = now


def _listen_to_setup(acts: Sequence[Act], reports: Reports) -> None:
    mine = {
        act.subject.attempt.pk: act.subject
        for act in acts
        if act.step is SETUP and act.subject.attempt is not None
    }
    known = set(SetupStep.objects.filter(attempt__in=mine).values_list("attempt_id", flat=True))
    for pk, subject in mine.items():
        subject.contacted = pk in known
        subject.report = partial(_put, reports, pk)


def _load_profiles(acts: Sequence[Act]) -> None:
    """What the recipe needs to know of console and game, asked once per game."""
    known: dict[tuple[str, str], Profile] = {}
    for subject, session in _launching(acts):
        wanted = (subject.vm.console_id, session.game_id)
        if wanted not in known:
            with suppress(NotFound):  # its console is no longer configured
                known[wanted] = profile_for(console=wanted[0], game_id=wanted[1])
        subject.profile = known.get(wanted)


def _load_saves(acts: Sequence[Act]) -> None:
    """What a game begins with; and of machines that are asked for theirs, which versions we have."""
    launching = [(subject, session.slot_id) for subject, session in _launching(acts) if session.slot_id]
    begins = saves.content_of({slot_id for _, slot_id in launching}) if launching else {}
    for subject, slot_id in launching:
        subject.save = begins.get(slot_id)
    asked = {act.subject.vm.pk: act.subject for act in acts if act.step in (WATCH, PART)}
    played = GameSession.objects.filter(vm__in=asked, slot__isnull=False).order_by()
    slots: dict[UUID, dict[UUID, UUID]] = defaultdict(dict)
    for vm_id, session_id, slot_id in played.values_list("vm", "pk", "slot"):
        slots[vm_id][session_id] = slot_id
    known = saves.stored({slot for mine in slots.values() for slot in mine.values()}) if slots else {}
    for vm_id, subject in asked.items():
        subject.slots = slots[vm_id]
        mine = set(subject.slots.values())
        subject.stored = {
            (str(slot), digest, base): StoredSave(one.number, one.is_current)
            for (slot, digest, base), one in known.items()
            if slot in mine
        }


def _launching(acts: Sequence[Act]) -> list[tuple[Subject, GameSession]]:
    playing = [act.subject for act in acts if act.step is PLAY]
    queued = [(subject, queued_in(subject.sessions)[-1:]) for subject in playing]
    return [(subject, session) for subject, last in queued for session in last]


def _put(reports: Reports, attempt_id: int, report: StepReport) -> None:
    reports.put((attempt_id, report))


def _flush(reports: Reports, now: datetime) -> None:
    """Writes what setup said since the last time, so that people see it live."""
    latest: dict[tuple[int, str], StepReport] = {}
    while True:
        try:
            attempt_id, report = reports.get_nowait()
        except Empty:
            break
        latest[attempt_id, report.name] = report
    for (attempt_id, _), report in latest.items():
        stored(partial(_keep, attempt_id, report, now), f"setup step attempt={attempt_id}")


def _keep(attempt_id: int, report: StepReport, now: datetime) -> None:
    known = {"title": report.title, "state": report.state, "log_tail": report.log_tail, "updated_at": now}
    if report.seconds is not None:
        known["seconds"] = report.seconds
    position = {"position": SetupStep.objects.filter(attempt=attempt_id).count() + 1}
    SetupStep.objects.update_or_create(
        attempt_id=attempt_id, name=report.name, defaults=known, create_defaults={**known, **position}
    )
