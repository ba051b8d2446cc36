"""Wishes for a VM that is there: start, stop, end, try again, and what may be changed on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import EllipsisType
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Case, F, When

from accounts.principal import Principal
from events.services import record
from gamer.errors import InvalidState, bad_field
from gamer.moments import written
from gamer.queue.wake import ring
from vms import budgets, credits, metering, quotas
from vms.channels import RECONCILER
from vms.lifecycle import LIVE, Desired, Phase, Status
from vms.models import MAX_AUTO_STOP_S, MIN_AUTO_STOP_S, NO_MOVE, VM, VMQuerySet
from vms.providers import registry
from vms.providers.base import Suspendable
from vms.quotas import Tenant
from vms.reconcile.apply import happening
from vms.services.gate import admit_again, taken
from vms.services.orders import demand_launching
from vms.services.playing import play
from vms.services.poking import poke, poked

EXTEND_BY = timedelta(hours=1)


def start(*, vm: VM, by: Principal, now: datetime) -> None:
    """Starts a stopped VM on the same machine. Raises InvalidState, InsufficientCredits, Conflict."""
    try:
        with transaction.atomic():
            begin(vm, by, quotas.lock_for(vm), now)
    except IntegrityError as error:
        raise taken(error, vm.owner, vm.console_id) from error


def begin(vm: VM, by: Principal, tenant: Tenant, now: datetime) -> None:
    """The start of a stopped VM, under the locks of `quotas.lock`."""
    _wish(vm, by, Status.STOPPED, Desired.RUNNING, "power_on_asked", now)
    admit_again(vm, tenant, quotas.use_of_vm(vm), now)
    credits.hold_for_start(vm, now)


def stop(*, vm: VM, by: Principal, now: datetime) -> None:
    """Stops a running VM; its machine is kept, and may still cost. Raises InvalidState."""
    if vm.attempt is not None and not issubclass(registry.KINDS[vm.attempt.account.kind], Suspendable):
        raise InvalidState("This provider's machines cannot be stopped; delete the VM instead.")
    _wish(vm, by, Status.RUNNING, Desired.STOPPED, "power_off_asked", now)


def destroy(*, vm: VM, by: Principal, now: datetime) -> None:
    """Ends a VM in whatever state it is; repeating it is no error."""
    with transaction.atomic():
        live = VM.objects.filter(pk=vm.pk, phase__in=LIVE).exclude(desired=Desired.GONE)
        if live.update(desired=Desired.GONE, updated_at=now, **poked(now)):
            vm.desired = Desired.GONE
            record(happening(vm, "delete_asked", {}, now, by.label))
            ring(RECONCILER)


def destroy_all(*, vms: VMQuerySet, by: Principal, now: datetime) -> int:
    """Ends every VM of a selection that is not ending yet, in a handful of statements; how many."""
    with transaction.atomic():
        live = vms.filter(phase__in=LIVE).exclude(desired=Desired.GONE).order_by("pk")
        rows = list(live.select_for_update(no_key=True, of=("self",)).only("owner", "project", "department"))
        if not rows:
            return 0
        VM.objects.filter(pk__in=[vm.pk for vm in rows]).update(
            desired=Desired.GONE, updated_at=now, **poked(now)
        )
        record(*(happening(vm, "delete_asked", {}, now, by.label) for vm in rows))
        ring(RECONCILER)
    return len(rows)


def retry(*, vm: VM, by: Principal, now: datetime) -> None:
    """Places a failed VM anew. Everything of the first round is proven gone: that is what FAILED means.

    Raises InvalidState, InsufficientCredits, Conflict, Unavailable.
    """
    demand_launching()
    afresh: dict[str, Any] = {
        "phase": Phase.REQUESTED, "desired": Desired.RUNNING, "phase_since": now, "next_look_at": now, "updated_at": now,
        "error": "", "error_text": "", "attempt": None, "ready_at": None, "ended_at": None, "session_ends_at": None,
        "gaming_environment_ready": False, "is_acting": False, "action_sent_at": None, "alarmed_at": None, "ip_address": "",
        "agent_token_digest": "", "agent_seen_at": None, "agent_boot_id": "", "agent_sequence": 0, "agent_sent_at": None,
        "idle_since": None, "idle_seen_at": None, "idle_warned_at": None, "end_warned_at": None, "watched_at": None,
        "games_mounted": False, "parting_since": None, "archived_at": None, **NO_MOVE,
    }  # fmt: skip
    try:
        with transaction.atomic():
            tenant = quotas.lock_for(vm)
            if not VM.objects.filter(pk=vm.pk, phase=Phase.FAILED).update(round=F("round") + 1, **afresh):
                raise InvalidState(f"The VM is {vm.status}; only one in error can be tried again.")
            vm.refresh_from_db()
            admit_again(vm, tenant, quotas.use_of_vm(vm), now)
            record(happening(vm, "retry", {}, now, by.label))
            if vm.game_id:
                save_id = (
                    vm.sessions.filter(game_id=vm.game_id)
                    .order_by("-queued_at")
                    .values_list("save_id", flat=True)
                )
                play(vm=vm, by=by, game_id=vm.game_id, save_id=save_id.first() or "", now=now)
            credits.hold_for_start(vm, now)
            ring(RECONCILER)
    except IntegrityError as error:
        raise taken(error, vm.owner, vm.console_id) from error


def extend(*, vm: VM, by: Principal, now: datetime) -> datetime:
    """Moves the end of a running VM's time by an hour, and starts its idle clock again; returns the new end. Raises InvalidState.

    The end is never further away than at its start: what is asked again and again, by a loop or for want of an answer, adds up to no more.
    """
    columns = ("desired", "phase", "session_ends_at", "max_session_hours")
    with transaction.atomic():
        row = VM.objects.select_for_update(no_key=True).only(*columns).get(pk=vm.pk)
        if row.status is not Status.RUNNING:
            raise InvalidState(f"The VM is {row.status}; only a running one can be extended.")
        ends_at, latest = row.session_ends_at or now, now + timedelta(hours=row.max_session_hours)
        if ends_at >= latest:
            raise InvalidState(f"The VM runs for {row.max_session_hours} more hours: that is the most.")
        # From now, where the end has passed while nobody looked: it would be in the past still.
        until = min(max(ends_at, now) + EXTEND_BY, latest)
        VM.objects.filter(pk=vm.pk).update(session_ends_at=until, last_activity=now, updated_at=now)
        record(happening(vm, "extend", {"until": written(until)}, now, by.label))
    return until


def change(
    *,
    vm: VM,
    by: Principal,
    now: datetime,
    name: str | None = None,
    auto_stop_timeout: int | None = None,
    project_id: int | EllipsisType | None = ...,
) -> VM:
    """Renames a VM, changes its idle time, or moves it to another project or (None) to none.

    Raises ValidationError for an idle time out of range or a project that is not its owner's, Conflict as a launch in it.
    """
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if auto_stop_timeout is not None:
        if not MIN_AUTO_STOP_S <= auto_stop_timeout <= MAX_AUTO_STOP_S:
            raise bad_field("auto_stop_timeout", f"must be {MIN_AUTO_STOP_S} to {MAX_AUTO_STOP_S} seconds")
        changes["auto_stop_timeout"] = auto_stop_timeout
    with transaction.atomic():
        if not isinstance(project_id, EllipsisType) and project_id != vm.project_id:
            changes |= _move(vm, by, project_id, now)
        if changes:
            VM.objects.filter(pk=vm.pk).update(updated_at=now, **changes)
            vm.refresh_from_db()
            record(happening(vm, "update", changes, now, by.label))
        if "project_id" in changes:
            metering.regroup(vm=vm, now=now)
    return vm


def _move(vm: VM, by: Principal, project_id: int | None, now: datetime) -> dict[str, Any]:
    """The columns of a VM in another project; a department's project makes it the department's."""
    tenant = quotas.lock(by=by, owner=vm.owner, project_ids=[] if project_id is None else [project_id])
    if project_id is None:
        return {"project_id": None}
    vm.refresh_from_db(fields=["desired", "phase", "attempt"])
    quotas.fits_project(tenant, vm, project_id)
    within = tenant.projects[project_id].department_id
    if not (vm.is_terminal or vm.desired == Desired.GONE):
        budgets.demand_money(replace(tenant, department_id=within or vm.department_id), project_id, now)
    return {"project_id": project_id, **({"department_id": within} if within is not None else {})}


def look_now(*, vm: VM, by: Principal, now: datetime) -> None:
    """Has the reconciler look at once: for an operator who knows more than the schedule."""
    if vm.is_terminal:
        raise InvalidState(f"The VM is {vm.status}: there is nothing left to look at.")
    with transaction.atomic():
        poke(vm, now)
        record(happening(vm, "look_asked", {}, now, by.label))


def _wish(vm: VM, by: Principal, needed: Status, desired: Desired, action: str, now: datetime) -> None:
    """Changes the wish if the VM is in the needed status at this very moment."""
    with transaction.atomic():
        rows = VM.objects.filter(pk=vm.pk).with_status(needed)
        # Another wish takes back a move that has not begun.
        stays = Case(When(desired=desired, then=F("moves_from")), default=None)
        if not rows.update(desired=desired, moves_from=stays, updated_at=now, **poked(now)):
            vm.refresh_from_db(fields=["desired", "phase"])
            raise InvalidState(f"The VM is {vm.status}; it must be {needed}.")
        vm.desired = desired
        record(happening(vm, action, {}, now, by.label))
        ring(RECONCILER)
