"""READY, and not wanted any more: the game is ended first, so that it saves. A planned end waits two minutes for that, no longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gamer.crash import crash_point
from vms import setup
from vms.models import VM, Attempt, GameSession
from vms.providers import registry
from vms.providers.base import Provider
from vms.reconcile.outcome import Note, Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps.setup import target_of

PATIENCE = timedelta(minutes=2)
RETRY_S = 5


def is_due(vm: VM, attempt: Attempt | None, sessions: Sequence[GameSession], now: datetime) -> bool:
    """Whether a game still runs, and may yet be ended in time. `action_sent_at` is when that was first tried in vain."""
    kind = registry.KINDS.get(attempt.account.kind) if attempt is not None else None
    if (
        kind is None
        or not kind.has_shell
        or not any(one.status == GameSession.Status.LAUNCHED for one in sessions)
    ):
        return False
    return vm.action_sent_at is None or now - vm.action_sent_at < PATIENCE


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    first = subject.vm.action_sent_at or now
    ended: list[SessionChange] = []
    for session in subject.sessions:
        if session.status != GameSession.Status.LAUNCHED:
            continue
        try:
            if provider.has_shell:
                setup.end_session(target_of(subject), str(session.pk))
        except setup.SshError as error:
            is_last = now + timedelta(seconds=RETRY_S) - first >= PATIENCE
            notes = (Note("save_at_risk", {"why": str(error)[:300]}),) if is_last else ()
            return Wait(seconds=RETRY_S, sessions=ended, notes=notes, vm={"action_sent_at": first})
        ended.append(SessionChange(session.pk, GameSession.Status.ENDED, "the machine is ending"))
    crash_point("part.after_call")
    return Wait(seconds=0, sessions=ended, vm={"action_sent_at": None})
