"""Writing an outcome: one short transaction, guarded by the lease token. Zero rows updated means stale: dropped."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Least

from emulators.services import saves
from events.services import Happening, record
from gamer.context import about
from gamer.crash import crash_point
from gamer.errors import GamerError
from redaction.masks import mask
from vms import metering, sessions
from vms.lifecycle import TERMINAL, Desired, Phase, may_move
from vms.models import VM, Attempt, GameSession, Offer, ProviderAccount, VMQuerySet
from vms.reconcile import claims, idle
from vms.reconcile.guard import REFUSED
from vms.reconcile.outcome import AccountNote, Advance, Fail, Note, Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps import decide, move

log = logging.getLogger(__name__)

ACTOR = "policy:reconciler"
COOL_S = 60
# Ends of an order that speak against its account. Sold out, refused and unpaid ones do not: those are told apart already.
PROVIDERS_FAULT = frozenset(
    {"Unavailable", "OutcomeUnknown", "Overdue", "Lost", "StoppedByItself", "NoContact", "SetupFailed"}
)

# What the timeline says when a phase begins; a step's own notes come before it.
ACTIONS: Mapping[Phase, str] = {
    Phase.CREATING: "placed",
    Phase.BOOTING: "machine_ordered",
    Phase.SETTING_UP: "machine_running",
    Phase.READY: "power_on",
    Phase.STOPPING: "stopping",
    Phase.STOPPED: "power_off",
    Phase.DELETING: "ending",
    Phase.DELETED: "delete",
    Phase.FAILED: "failed",
}


def apply(subject: Subject, token: uuid.UUID, outcome: Outcome, now: datetime) -> bool:
    """Writes everything an outcome says, or nothing. False when the lease was lost in the meantime.

    The subject takes the changes on, so that the next step is known and written with them.
    """
    crash_point("apply.before")
    outcome = move.instead_of_failing(subject, _masked(outcome))
    source, wish, ends_at = Phase(subject.vm.phase), subject.vm.desired, subject.vm.session_ends_at
    origin, is_still_idle = subject.vm.moves_from_id, idle.unbroken(subject.vm)
    changes = _changes(source, outcome, now)
    if "machine_id" in outcome.attempt:
        outcome = replace(outcome, attempt={**outcome.attempt, "answered_at": now})
    attempts = list(subject.held)
    _absorb(subject, changes, outcome)
    rows = VM.objects.filter(pk=subject.vm.pk, lease_token=token)
    if "desired" in changes:
        # Somebody may have extended their time or asked for a move while the step ran: then the row is looked at anew.
        rows = rows.filter(session_ends_at=ends_at, moves_from=origin)
        # Or come back to play: what their machine says of it pokes nobody.
        if any(note.action == "idle_end" for note in outcome.notes):
            rows = rows.filter(is_still_idle)
        # Or wished something else: then theirs stands.
        unchanged = When(desired=wish, then=Value(changes["desired"]))
        changes["desired"] = Case(unchanged, default=F("desired"))
    elif _is_on_its_way(outcome):
        rows = rows.filter(desired=wish, moves_from=origin)
    if not subject.vm.is_terminal:
        changes["is_acting"] = decide(
            subject.vm, subject.attempt, subject.held, subject.sessions, now
        ).is_acting
    with transaction.atomic():
        is_written = bool(rows.filter(is_poked=False).update(**changes))
        # Whatever a person did meanwhile, such as launching a game, may be why it shall not end.
        if not is_written and not _is_second_guessed(outcome):
            is_written = bool(_poked_meanwhile(rows, outcome, changes))
        if not is_written:
            claims.rest([claims.Rest(subject.vm.pk, token, now, is_acting=False)])
            log.info("stale outcome dropped vm=%s", subject.vm.pk)
            return False
        _write_attempts(subject.attempt, outcome)
        moved = _write_sessions(subject.vm, outcome, now)
        _write_saves(subject.vm, outcome, now)
        _write_events(subject.vm, source, outcome, moved, now)
        _write_account(subject.attempt, outcome, now)
        _search_at_once(subject, attempts, outcome, now)
        _write_reliability(subject.attempt, outcome, now)
        metering.note(subject, attempts, source, outcome, now)
        crash_point("apply.inside")
    crash_point("apply.after")
    return True


def _is_second_guessed(outcome: Outcome) -> bool:
    """Whether a policy wishes an end, which somebody may just have made untimely. A start that was refused stays refused."""
    return isinstance(outcome, Wait) and "desired" in outcome.vm and not _is_refusal(outcome)


def _is_refusal(outcome: Outcome) -> bool:
    """Whether a start came to nothing at once."""
    return isinstance(outcome, Wait) and any(note.action == "start_refused" for note in outcome.notes)


def _is_on_its_way(outcome: Outcome) -> bool:
    """Whether the VM leaves its machine for a stop or a move, which somebody may just have taken back or exchanged for the other."""
    if not isinstance(outcome, Advance):
        return False
    return outcome.phase is Phase.STOPPING or bool(outcome.vm.get("moves_back_to"))


def _poked_meanwhile(rows: VMQuerySet, outcome: Outcome, changes: Mapping[str, Any]) -> int:
    """Writes a row that somebody poked while the step was under way: a step that wants to wait is looked at again as they asked."""
    at = changes["next_look_at"]
    sooner = Least("next_look_at", Value(at)) if isinstance(outcome, Wait) else at
    return rows.filter(is_poked=True).update(**{**changes, "next_look_at": sooner, "is_poked": False})


def _masked(outcome: Outcome) -> Outcome:
    """Its texts without secrets, should an adapter have forgotten one: they are shown to players and staff."""

    def clean(columns: Mapping[str, Any]) -> dict[str, Any]:
        text = columns.get("error_text")
        return {**columns, "error_text": mask(text)} if text else dict(columns)

    told: dict[str, Any] = {
        "vm": clean(outcome.vm),
        "attempt": clean(outcome.attempt),
        "others": {pk: clean(columns) for pk, columns in outcome.others.items()},
        "cools": mask(outcome.cools),
        "sessions": [replace(one, error_text=mask(one.error_text)) for one in outcome.sessions],
    }
    if isinstance(outcome, Fail):
        told["text"] = mask(outcome.text)
    return replace(outcome, **told)


def _changes(source: Phase, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The VM's columns after this outcome; the next look is due at once unless the step wants to wait."""
    changes: dict[str, Any] = {"updated_at": now, "lease_token": None, "lease_until": None, "hinted_at": None}
    target: Phase | None = None
    if isinstance(outcome, Wait):
        changes["next_look_at"] = aligned(now, outcome.seconds)
    if isinstance(outcome, Advance):
        target = outcome.phase
    if isinstance(outcome, Fail):
        target = Phase.DELETING
        # Nobody wishes for it any more: while its machine is proven gone, the player may have another.
        changes |= {"error": outcome.error[:40], "error_text": outcome.text, "desired": Desired.GONE}
    if target is not None:
        if not may_move(source, target):
            raise AssertionError(f"no way from {source} to {target}")
        changes |= {"phase": target, "phase_since": now, "is_acting": False}
        changes |= {"action_sent_at": None, "parting_since": None}
        changes["next_look_at"] = None if target in TERMINAL else now
    if target is Phase.STOPPED:
        # Whoever comes back to it has their whole time: the old end would delete it minutes after its start.
        changes |= {"session_ends_at": None, "end_warned_at": None}
    return {**changes, **outcome.vm}


def _absorb(subject: Subject, changes: Mapping[str, Any], outcome: Outcome) -> None:
    """Takes the changes on in memory."""
    by_pk = {attempt.pk: attempt for attempt in subject.held}
    mine = {subject.attempt.pk: outcome.attempt} if subject.attempt is not None else {}
    for pk, columns in (*outcome.others.items(), *mine.items()):
        for name, value in columns.items():
            setattr(by_pk[pk], name, value)
    for name, value in changes.items():
        setattr(subject.vm, name, value)
    subject.held = [attempt for attempt in subject.held if attempt.gone_at is None]


def aligned(now: datetime, seconds: float) -> datetime:
    """The next look, on a grid: machines that wait alike are looked at together, with one list."""
    at = now + timedelta(seconds=seconds)
    grid = 10 if seconds >= 10 else 2 if seconds >= 2 else 0
    if not grid:
        return at
    return at + timedelta(seconds=-at.timestamp() % grid)


def _write_attempts(attempt: Attempt | None, outcome: Outcome) -> None:
    if outcome.attempt and attempt is not None:
        Attempt.objects.filter(pk=attempt.pk).update(**outcome.attempt)
    for pk, changes in outcome.others.items():
        Attempt.objects.filter(pk=pk).update(**changes)


def _write_sessions(vm: VM, outcome: Outcome, now: datetime) -> list[SessionChange]:
    """Moves the sessions; returns those that moved, for the agent may have told us first."""
    moved = [
        change
        for change in outcome.sessions
        if sessions.move(
            vm_id=vm.pk,
            session_id=change.session_id,
            status=change.status,
            at=now,
            error_text=change.error_text,
        )
    ]
    for change in outcome.sessions:
        if change.base is not None:
            mine = GameSession.objects.filter(pk=change.session_id, vm=vm)
            mine.exclude(base=change.base).update(base=change.base)
    is_over = isinstance(outcome, Advance) and outcome.phase in (Phase.DELETING, Phase.STOPPED)
    # Those as well that were asked for while the step was under way.
    if isinstance(outcome, Fail) or is_over or _is_refusal(outcome):
        GameSession.objects.filter(vm=vm, status__in=GameSession.OPEN).update(
            status=GameSession.Status.ENDED, ended_at=now
        )
    return moved


def _write_saves(vm: VM, outcome: Outcome, now: datetime) -> None:
    """Takes what was fetched, each by itself: one that is not taken stays on the machine, where the next look finds it."""
    # In this order, as everywhere: sessions' rows, then their slots.
    if outcome.played:
        sessions.note_played(vm_id=vm.pk, played=outcome.played, now=now)
    for one in outcome.saves:
        # Looked into where it was fetched (`saving.refusal`): unpacking it again would hold these locks for seconds.
        brought = saves.Brought(
            digest=one.save.digest,
            packed=one.archive,
            base=one.save.base,
            session_id=one.session_id,
            subject=str(vm.pk),
            played_s=int(one.save.played_s),
        )
        try:
            with transaction.atomic():
                saves.keep(saves.lock(one.slot_id), brought, by=ACTOR, now=now)
        except GamerError as error:
            log.warning("save not taken vm=%s slot=%s why=%s", vm.pk, one.slot_id, error)
    if outcome.refusals:
        VM.objects.filter(pk=vm.pk).update(agent_refusals=F("agent_refusals") + outcome.refusals)


def _write_events(
    vm: VM, source: Phase, outcome: Outcome, moved: Sequence[SessionChange], now: datetime
) -> None:
    notes = [
        Note(f"session_{change.status}", {"session_id": str(change.session_id), "why": change.error_text})
        for change in moved
    ]
    notes += outcome.notes
    if isinstance(outcome, Fail):
        notes.append(Note("error", {"error": outcome.error, "text": outcome.text}))
    action = ACTIONS.get(Phase(vm.phase)) if vm.phase != source else None
    if action is not None and action not in {note.action for note in notes}:
        told = {"from": source, **({"ip_address": vm.ip_address} if vm.ip_address else {})}
        notes.append(Note(action, told))
    if notes:
        record(*(happening(vm, note.action, note.details, now) for note in notes))


def happening(
    vm: VM, action: str, details: Mapping[str, Any], now: datetime, actor: str = ACTOR
) -> Happening:
    """An event about a VM, addressed to its owner, its project and its department.

    Record it while the VM's row is held, by a change of it or by `hold`: then the events of a VM are seen in the order of their
    ids, and who asks for those behind the last one (`queries.events_of`) misses none that is committed later.
    """
    return Happening(
        at=now,
        actor=actor,
        action=action,
        resource="vms",
        resource_id=str(vm.pk),
        details=details,
        owner_id=vm.owner_id,
        project_id=vm.project_id,
        department_id=vm.department_id,
    )


def _write_account(attempt: Attempt | None, outcome: Outcome, now: datetime) -> None:
    if attempt is None:
        return
    if outcome.cools:
        Offer.objects.filter(account_id=attempt.account_id, offer_id=attempt.offer_id).update(
            cools_until=now + timedelta(seconds=COOL_S), cools_why=outcome.cools[:300]
        )
    if outcome.account is not None:
        note_account(attempt.account, outcome.account, now)


def _search_at_once(subject: Subject, attempts: Sequence[Attempt], outcome: Outcome, now: datetime) -> None:
    """Machines of attempts that were just closed may live: the next lists of their accounts are searched for them at once."""
    closed = {pk for pk, columns in outcome.others.items() if "closed_at" in columns}
    if subject.attempt is not None and "closed_at" in outcome.attempt:
        closed.add(subject.attempt.pk)
    living = {one.account_id for one in attempts if one.pk in closed and one.gone_at is None}
    if living:
        ProviderAccount.objects.filter(pk__in=living).update(next_sweep_at=now)


def _write_reliability(attempt: Attempt | None, outcome: Outcome, now: datetime) -> None:
    """Whether an account's orders come to something. That it answers says little: a tool's own list always answers."""
    if attempt is None:
        return
    rows = ProviderAccount.objects.filter(pk=attempt.account_id)
    if outcome.attempt.get("error_class") in PROVIDERS_FAULT:
        rows.update(orders_failed_in_a_row=F("orders_failed_in_a_row") + 1, order_failed_at=now)
    elif (
        isinstance(outcome, Advance)
        and outcome.phase is Phase.READY
        and attempt.account.orders_failed_in_a_row
    ):
        rows.update(orders_failed_in_a_row=0, order_failed_at=None)


def note_account(account: ProviderAccount, note: AccountNote, now: datetime) -> None:
    """Keeps how an account is doing: errors in a row, the pause after refused credentials, and the event for staff."""
    rows = ProviderAccount.objects.filter(pk=account.pk)
    note = replace(note, error=mask(note.error))
    if not note.error:
        if (
            account.failures_in_a_row
            or account.last_answered_at is None
            or now - account.last_answered_at > timedelta(seconds=30)
        ):
            rows.update(failures_in_a_row=0, last_answered_at=now)
        return
    failures = F("failures_in_a_row") + (0 if note.of_one_machine else 1)
    rows.update(failures_in_a_row=failures, last_error=note.error, last_error_at=now)
    is_new_pause = note.pause_s and not (account.paused_until and account.paused_until > now)
    if note.pause_s:
        rows.update(paused_until=now + timedelta(seconds=note.pause_s), paused_why=note.error)
    if is_new_pause:
        log.error("provider account paused account=%s why=%s", account.name, note.error)
        record(
            Happening(
                at=now, actor=ACTOR, action="suspend", resource="provider_accounts", resource_id=str(account.pk),
                details={"name": account.name, "why": note.error},
            )
        )  # fmt: skip


def written(subject: Subject, token: uuid.UUID, outcome: Outcome, now: datetime) -> bool:
    """`apply`, surviving an outcome that cannot be stored: its lease runs out and it is looked at again, while the others go on."""
    with about(vm=str(subject.vm.pk)):
        try:
            return apply(subject, token, outcome, now)
        except REFUSED:
            if not transaction.get_connection().is_usable():
                raise
            log.exception("outcome cannot be stored vm=%s outcome=%s", subject.vm.pk, type(outcome).__name__)
            return False
