"""READY, and not wanted any more: the game is ended first, so that it saves. A planned end waits two minutes for that, no longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gamer.crash import crash_point
from vms import setup
from vms.models import Attempt, GameSession
from vms.providers import registry
from vms.providers.base import Provider
from vms.reconcile.outcome import Note, Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps.setup import target_of

PATIENCE = timedelta(minutes=2)
RETRY_S = 5
Status = GameSession.Status


def is_due(attempt: Attempt | None, sessions: Sequence[GameSession]) -> bool:
    """Whether a game still runs on a machine that can be asked to end it."""
    kind = registry.KINDS.get(attempt.account.kind) if attempt is not None else None
    return kind is not None and kind.has_shell and any(one.status == Status.LAUNCHED for one in sessions)


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    """`action_sent_at` is when it was first tried in vain. Whatever comes, no session is left as running after two minutes."""
    first = subject.vm.action_sent_at or now
    running = [one for one in subject.sessions if one.status == Status.LAUNCHED]
    try:
        for session in running:
            if provider.has_shell:
                setup.end_session(target_of(subject), str(session.pk))
    except setup.SshError as error:
        if now - first < PATIENCE:
            return Wait(seconds=RETRY_S, vm={"action_sent_at": first})
        lost = [SessionChange(one.pk, Status.ENDED, "the machine did not answer") for one in running]
        return Wait(seconds=0, sessions=lost, notes=(Note("save_at_risk", {"why": str(error)[:300]}),))
    crash_point("part.after_call")
    return Wait(
        seconds=0, sessions=[SessionChange(one.pk, Status.ENDED, "the machine is ending") for one in running]
    )
