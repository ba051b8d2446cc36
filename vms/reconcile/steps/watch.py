"""READY without word from the agent: ask over SSH what it would have said, and fetch its saves. The guarantee; pushes are the hint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from gamer.crash import crash_point
from vms import setup
from vms.activity import columns
from vms.models import VM, Attempt, GameSession
from vms.providers import registry
from vms.providers.base import Provider
from vms.reconcile.outcome import Outcome, SessionChange, Subject, Wait
from vms.reconcile.steps import saving
from vms.reconcile.steps.setup import target_of

Status = GameSession.Status
SILENCE = timedelta(seconds=60)
# Of a machine that is heard: saves may wait there that it could not push.
UNSEEN = timedelta(minutes=30)
# Then the look at the provider's list is due again.
NEXT_S = 1


def is_due(vm: VM, attempt: Attempt | None, sessions: Sequence[GameSession], now: datetime) -> bool:
    """Whether nothing has been heard for a while of a machine that can be asked, or nobody has looked for its saves."""
    kind = registry.KINDS.get(attempt.account.kind) if attempt is not None else None
    if kind is None or not kind.has_shell:
        return False
    seen_at = max(vm.watched_at or vm.phase_since, vm.phase_since)
    has_saves = any(one.slot_id is not None for one in sessions)
    return now - max(vm.agent_seen_at or seen_at, seen_at) > SILENCE or (has_saves and now - seen_at > UNSEEN)


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    if not provider.has_shell:
        return Wait(seconds=NEXT_S, vm={"watched_at": now})
    try:
        collected = setup.collect_saves(target_of(subject), subject.stored, partial(saving.refusal, subject))
    except setup.SshError:
        # Unknown counts as active; whether the machine is still there is the look's to say.
        return Wait(seconds=NEXT_S, vm={"watched_at": now, "idle_since": None})
    crash_point("watch.after_call")
    agent = collected.agent
    known = {"watched_at": now, **columns(agent.is_playing, agent.idle_s, now)}
    # What is stored then is told to the machine, and what is left fetched, when it is asked the next time.
    return Wait(
        seconds=NEXT_S, vm=known, sessions=_over(subject, agent.sessions), **saving.found(subject, collected)
    )


def _over(subject: Subject, told: Sequence[setup.SessionState]) -> list[SessionChange]:
    """The VM's open games that are over there, whatever ended them."""
    mine = {str(one.pk): one for one in subject.sessions}
    return [
        SessionChange(mine[one.session_id].pk, one.state, one.reason)
        for one in told
        if one.session_id in mine and one.state in (Status.ENDED, Status.FAILED)
    ]
