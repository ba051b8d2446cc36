"""READY without word from the agent: ask over SSH what its heartbeats would have said. This is the guarantee; they are the hint."""

from __future__ import annotations

from datetime import datetime, timedelta

from vms import setup
from vms.activity import columns
from vms.models import VM, Attempt
from vms.providers import registry
from vms.providers.base import Provider
from vms.reconcile.outcome import Outcome, Subject, Wait
from vms.reconcile.steps.setup import target_of

SILENCE = timedelta(seconds=60)
# Then the look at the provider's list is due again.
NEXT_S = 1


def is_due(vm: VM, attempt: Attempt | None, now: datetime) -> bool:
    """Whether nothing has been heard for a while of a machine that can be asked."""
    kind = registry.KINDS.get(attempt.account.kind) if attempt is not None else None
    if kind is None or not kind.has_shell:
        return False
    heard = [moment for moment in (vm.agent_seen_at, vm.watched_at, vm.phase_since) if moment is not None]
    return now - max(heard) > SILENCE


def run(subject: Subject, provider: Provider, now: datetime) -> Outcome:
    if not provider.has_shell:
        return Wait(seconds=NEXT_S, vm={"watched_at": now})
    try:
        agent = setup.look_at(target_of(subject))
    except setup.SshError:
        # Unknown counts as active; whether the machine is still there is the look's to say.
        return Wait(seconds=NEXT_S, vm={"watched_at": now, "idle_since": None})
    return Wait(seconds=NEXT_S, vm={"watched_at": now, **columns(agent.is_playing, agent.idle_s, now)})
