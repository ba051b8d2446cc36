"""The clocks that end a running VM by themselves: nobody plays, and its time is over. Pure; the warning comes five minutes before.

Idle needs proof, and fresh proof: what the agent says (by heartbeat, or asked over SSH) counts for a while only. Where it can't be
told whether somebody plays, somebody does; the session's own end stands above all.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from gamer.moments import written
from vms.lifecycle import Desired, rests_cheaply
from vms.models import VM, Attempt
from vms.providers.base import Machine, Provider, Suspendable
from vms.reconcile.outcome import Note, Outcome, Wait

WARN = timedelta(minutes=5)
# Messages take their time: two proofs of one idleness begin a little apart, and are one idleness.
JITTER = timedelta(seconds=10)
# A proof this old is none: the agent beats every 15 s, and is asked over SSH every minute when it is not heard.
FRESH = timedelta(seconds=150)
# Where stopping saves less than three quarters, the machine is given back instead.


def idle_ends_at(vm: VM, now: datetime) -> datetime | None:
    """When a VM with nobody on it is ended; None while somebody plays, or may. Whatever a person does here starts the clock again."""
    if vm.idle_since is None or vm.idle_seen_at is None or now - vm.idle_seen_at > FRESH:
        return None
    return _idle_from(vm, vm.idle_since) + timedelta(seconds=vm.auto_stop_timeout)


def unbroken(vm: VM) -> Q:
    """That a row still says what the end of this idleness was decided by: nobody came back or asked for another patience meanwhile."""
    # Later proofs of the same idleness begin a little apart; a machine that beats often must not put its end off.
    latest = vm.idle_since + JITTER if vm.idle_since is not None else None
    return Q(idle_since__lte=latest, last_activity=vm.last_activity, auto_stop_timeout=vm.auto_stop_timeout)


def checked(
    outcome: Wait, vm: VM, attempt: Attempt | None, provider: Provider, machine: Machine | None, now: datetime
) -> Outcome:
    """The look's outcome, with the warnings and the ends that are due."""
    if vm.desired != Desired.RUNNING:
        return outcome
    ends_at = idle_ends_at(vm, now)
    if ends_at is not None and vm.idle_since is not None:
        since = _idle_from(vm, vm.idle_since)
        patience = min(WARN, timedelta(seconds=vm.auto_stop_timeout))
        warned_at = vm.idle_warned_at
        if warned_at is None or warned_at < max(since, ends_at - WARN) - JITTER:
            if now >= ends_at - patience:
                told = {"ends_at": written(max(ends_at, now + patience)), "idle_since": written(since)}
                return _with(outcome, Note("idle_warning", told), idle_warned_at=now)
        elif now >= max(ends_at, warned_at + patience):
            return _ended(outcome, vm, attempt, provider, machine, since)
    return _warned_of_the_end(outcome, vm, now)


def _idle_from(vm: VM, idle_since: datetime) -> datetime:
    return max(idle_since, vm.last_activity) if vm.last_activity is not None else idle_since


def _warned_of_the_end(outcome: Wait, vm: VM, now: datetime) -> Outcome:
    ends_at = vm.session_ends_at
    if ends_at is None or now < ends_at - WARN or (vm.end_warned_at and vm.end_warned_at >= ends_at - WARN):
        return outcome
    return _with(outcome, Note("end_warning", {"ends_at": written(ends_at)}), end_warned_at=now)


def _ended(
    outcome: Wait,
    vm: VM,
    attempt: Attempt | None,
    provider: Provider,
    machine: Machine | None,
    since: datetime,
) -> Outcome:
    is_kept = _is_worth_stopping(provider, machine, attempt)
    told = {"idle_since": written(since), "is_kept": is_kept}
    desired = Desired.STOPPED if is_kept else Desired.GONE
    return replace(_with(outcome, Note("idle_end", told), desired=desired), seconds=0)


def _is_worth_stopping(provider: Provider, machine: Machine | None, attempt: Attempt | None) -> bool:
    if not isinstance(provider, Suspendable) or machine is None or attempt is None:
        return False
    running = machine.usd_per_hour if machine.usd_per_hour is not None else attempt.usd_per_hour
    stopped = provider.stopped_usd_per_hour(replace(machine, usd_per_hour=running))
    return rests_cheaply(running, stopped)


def _with(outcome: Wait, note: Note, **columns: Any) -> Wait:
    return replace(outcome, vm={**outcome.vm, **columns}, notes=(*outcome.notes, note))
