"""Launches: a game on the player's VM, or a VM alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import User
from accounts.principal import Principal
from emulators.profile import Profile
from emulators.services import profile_for
from events.services import record
from gamer.errors import Conflict
from gamer.queue.wake import ring
from vms import credits, quotas
from vms.channels import RECONCILER
from vms.lifecycle import REUSED, Desired, Status
from vms.models import VM, GameSession, VMQuerySet
from vms.quotas import Tenant
from vms.reconcile.apply import happening
from vms.services.gate import LAW, admit, taken
from vms.services.orders import Order, Quote, check
from vms.services.playing import play, queued, told
from vms.services.wishes import begin


@dataclass(frozen=True, slots=True)
class Launched:
    """A launch's answer: the VM, the session queued on it, and whether the VM is new."""

    vm: VM
    session: GameSession | None
    is_new: bool


def launch_game(*, by: Principal, owner: User | None, order: Order, now: datetime) -> Launched:
    """Plays a game on the player's VM of that console: the live one, else the stopped one, else a new one.

    Raises NotFound (console not configured), ValidationError, InsufficientCredits, Conflict, NoCapacity, Unavailable.
    """
    profile = profile_for(console=order.console, game_id=order.game_id or None)
    try:
        return _launch(by, owner, order, profile, now)
    except IntegrityError as error:
        if LAW not in str(error):
            raise
    # Another launch of the same player won the race: its VM is ours to reuse.
    try:
        return _launch(by, owner, order, profile, now)
    except IntegrityError as error:
        raise taken(error, owner, order.console) from error


def _launch(by: Principal, owner: User | None, order: Order, profile: Profile, now: datetime) -> Launched:
    with transaction.atomic():
        wanted = [] if order.project_id is None else [order.project_id]
        known = None if owner is None else _reusable(owner, order.console).values("project_id").first()
        if known is not None and known["project_id"] is not None and order.project_id is None:
            wanted = [known["project_id"]]
        tenant = quotas.lock(by=by, owner=owner, project_ids=wanted)
        if owner is not None:
            existing = _reusable(owner, order.console).select_for_update(no_key=True).first()
            if existing is not None:
                _demand_theirs(existing, by)
                return _go_on(by, tenant, existing, order, now)
        quote = check(order, profile, now)
        return _new(by, tenant, order, profile, quote, now)


def _demand_theirs(existing: VM, by: Principal) -> None:
    """Raises Conflict for a VM that the player launched before they were of the department whose key asks."""
    if existing.department_id == by.department_id or VM.objects.visible_to(by).contains(existing):
        return
    raise Conflict(
        f"The player's VM of this console, {existing.pk}, is not of this key's department. The player ends it first.",
        details={"vm_id": [str(existing.pk)]},
    )


def _go_on(by: Principal, tenant: Tenant, existing: VM, order: Order, now: datetime) -> Launched:
    """The launch on the VM that is there, locked, so that it stays what it is until the game is queued on it."""
    if order.project_id is not None and order.project_id != existing.project_id:
        raise Conflict(
            f"The player's VM of this console, {existing.pk}, is not of this project. Move it first, or leave project_id out.",
            details={"vm_id": [str(existing.pk)]},
        )
    if existing.status is Status.STOPPED:
        begin(existing, by, tenant, now)
    session = play(vm=existing, by=by, game_id=order.game_id, save_id=order.save_id, now=now)
    return Launched(existing, session, False)


def create(*, by: Principal, owner: User | None, order: Order, now: datetime) -> Launched:
    """Makes a VM, always a new one. Raises Conflict with the id of the player's live VM of that console, and as `launch_game`."""
    profile = profile_for(console=order.console, game_id=order.game_id or None)
    quote = check(order, profile, now)
    try:
        with transaction.atomic():
            wanted = [] if order.project_id is None else [order.project_id]
            tenant = quotas.lock(by=by, owner=owner, project_ids=wanted)
            return _new(by, tenant, order, profile, quote, now)
    except IntegrityError as error:
        raise taken(error, owner, order.console) from error


def _new(
    by: Principal, tenant: Tenant, order: Order, profile: Profile, quote: Quote, now: datetime
) -> Launched:
    use = quote.use_at(now)
    admit(tenant, order.project_id, use, now)
    vm = _create(by, tenant, order, profile, quote, now)
    session = queued(vm, order.game_id, order.save_id, now) if order.game_id else None
    made = happening(vm, "create", {"console": order.console, "game_id": order.game_id}, now, by.label)
    record(made, *([told(session, by, now)] if session is not None else []))
    ring(RECONCILER)
    # Last, because the account that pays is locked from here to the commit, and many may launch on it.
    credits.hold_for_launch(vm, profile, use.usd_per_hour, now)
    return Launched(vm, session, True)


def _create(by: Principal, tenant: Tenant, order: Order, profile: Profile, quote: Quote, now: datetime) -> VM:
    return VM.objects.create(
        name=order.name,
        owner=tenant.owner,
        made_by=by.key,
        project_id=order.project_id,
        department_id=tenant.department_id,
        quoted_usd_per_hour=quote.usd_per_hour,
        quoted_gpus=quote.gpus,
        console_id=order.console,
        game_id=order.game_id,
        wanted_provider=order.provider,
        wanted_preset=order.preset,
        latitude=order.latitude,
        longitude=order.longitude,
        auto_stop_timeout=order.auto_stop_timeout,
        max_session_hours=profile.max_session_hours,
        phase_since=now,
        created_at=now,
        updated_at=now,
        next_look_at=now,
    )


def _reusable(owner: User, console: str) -> VMQuerySet:
    """The VM a launch goes on with, first: one that lives, else one that is stopped."""
    mine = VM.objects.filter(owner=owner, console=console)
    wanted = mine.filter(desired=Desired.RUNNING).with_any_status(REUSED)
    return (wanted | mine.with_status(Status.STOPPED)).order_by(F("desired").asc(), "-created_at")
