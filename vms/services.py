"""What people and policies may do with VMs. Each function is one act: it writes the wish, and the reconciler keeps it.

Doors (API, admin, commands) call these and nothing else. Refusals are `gamer.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from types import EllipsisType
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import User
from accounts.principal import Principal
from billing.services import prices
from emulators.profile import Profile
from emulators.services import has_file, profile_for, saves
from events.services import record
from gamer.errors import Conflict, InvalidState, NoCapacity, Unavailable, bad_field
from gamer.queue.wake import ring
from vms import budgets, credits, installation, metering, offers, placement, quotas
from vms.channels import RECONCILER
from vms.lifecycle import LIVE, REUSED, Desired, Phase, Status
from vms.models import MAX_AUTO_STOP_S, MIN_AUTO_STOP_S, VM, GameSession, VMQuerySet
from vms.providers import registry
from vms.providers.base import Suspendable
from vms.quotas import Tenant, Use
from vms.reconcile.apply import happening

LAW = "vm_one_live_per_owner_and_console"
CHANGED = "The player's VM of this console changed a moment ago. Try again."
EXTEND_BY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Order:
    """What a launch asks. `provider` and `preset` are binding when given; the position is whole or absent."""

    console: str
    game_id: str = ""
    save_id: str = ""
    name: str = ""
    provider: str = ""
    preset: str = ""
    latitude: float | None = None
    longitude: float | None = None
    auto_stop_timeout: int = 900
    project_id: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a new VM will hold at least: the price of the cheapest fitting offer, or None when no offer is known."""

    gpus: int
    usd_per_hour: Decimal | None

    def use_at(self, now: datetime) -> Use:
        """What quotas count of it: the customer's price."""
        return Use(1, int(self.gpus > 0), prices.charge_of(self.usd_per_hour or Decimal(0), now))


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
        raise _taken(error, owner, order.console) from error


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
                return _go_on(by, tenant, existing, order, now)
        quote = _check(order, profile, now)
        return _new(by, tenant, order, profile, quote, now)


def _go_on(by: Principal, tenant: Tenant, existing: VM, order: Order, now: datetime) -> Launched:
    """The launch on the VM that is there, locked, so that it stays what it is until the game is queued on it."""
    if order.project_id is not None and order.project_id != existing.project_id:
        raise Conflict(
            f"The player's VM of this console, {existing.pk}, is not of this project. Move it first, or leave project_id out.",
            details={"vm_id": [str(existing.pk)]},
        )
    if existing.status is Status.STOPPED:
        _start(existing, by, tenant, now)
    session = play(vm=existing, by=by, game_id=order.game_id, save_id=order.save_id, now=now)
    return Launched(existing, session, False)


def create(*, by: Principal, owner: User | None, order: Order, now: datetime) -> Launched:
    """Makes a VM, always a new one. Raises Conflict with the id of the player's live VM of that console, and as `launch_game`."""
    profile = profile_for(console=order.console, game_id=order.game_id or None)
    quote = _check(order, profile, now)
    try:
        with transaction.atomic():
            wanted = [] if order.project_id is None else [order.project_id]
            tenant = quotas.lock(by=by, owner=owner, project_ids=wanted)
            return _new(by, tenant, order, profile, quote, now)
    except IntegrityError as error:
        raise _taken(error, owner, order.console) from error


def _new(
    by: Principal, tenant: Tenant, order: Order, profile: Profile, quote: Quote, now: datetime
) -> Launched:
    _admit(tenant, order.project_id, quote.use_at(now), now)
    vm = _create(by, tenant, order, profile, quote, now)
    session = None
    if order.game_id:
        session = play(vm=vm, by=by, game_id=order.game_id, save_id=order.save_id, now=now)
    # Last, because the account that pays is locked from here to the commit, and many may launch on it.
    credits.hold_for_launch(vm, profile, now)
    return Launched(vm, session, True)


def _admit(
    tenant: Tenant, project_id: int | None, wanted: Use, now: datetime, *, vm: VM | None = None
) -> None:
    """The one gate before anything begins to run and cost: a new VM, the start of a stopped one, a retry.

    Called inside the transaction that begins it, under the locks of `quotas.lock`. `vm` is the one that is there already.
    Raises Conflict for a limit that would be passed, a budget that is used up or a project that closes.
    """
    budgets.demand_money(tenant, project_id, now)
    quotas.demand_room(tenant, project_id, wanted, without=vm)


def _reusable(owner: User, console: str) -> VMQuerySet:
    """The VM a launch goes on with, first: one that lives, else one that is stopped."""
    mine = VM.objects.filter(owner=owner, console=console)
    wanted = mine.filter(desired=Desired.RUNNING).with_any_status(REUSED)
    return (wanted | mine.with_status(Status.STOPPED)).order_by(F("desired").asc(), "-created_at")


def _taken(error: IntegrityError, owner: User | None, console: str) -> Exception:
    """The law's refusal as the contract's 409; any other broken constraint stays what it is."""
    if LAW not in str(error) or owner is None:
        return error
    first = VM.objects.live().filter(owner=owner, console=console, desired=Desired.RUNNING).first()
    if first is None:
        return Conflict(CHANGED)
    return Conflict(
        f"The player already has a VM of this console: {first.pk}.", details={"vm_id": [str(first.pk)]}
    )


def _check(order: Order, profile: Profile, now: datetime) -> Quote:
    """Refuses what cannot be hosted, before anything is written. Offers too old to trust refuse nothing, and quote nothing."""
    _check_game(order.console, order.game_id)
    _demand_launching()
    if order.preset:
        floor = profile.presets.get(order.preset)
        if floor is None:
            raise bad_field(
                "preset",
                f"there is no preset {order.preset!r}; there are {', '.join(sorted(profile.presets))}",
            )
        if floor.raised_to(profile.floor) != floor:
            raise bad_field("preset", f"{order.preset} is below what this console needs")
    if order.provider and order.provider not in registry.KINDS:
        raise NoCapacity(
            f"There is no adapter for {order.provider} yet.", details={order.provider: ["not available"]}
        )
    shelf, ranking = rank(order, profile, now)
    if len(ranking.order):
        return _quote(ranking)
    if not shelf.is_refreshed or not shelf.is_fresh:
        return Quote(profile.floor.gpus, None)
    reasons = ranking.reasons_by_kind()
    if order.provider and order.provider not in reasons:
        reasons = {order.provider: "has no offers"}
    raise NoCapacity(
        "No provider can host this console now.",
        details={kind: [text] for kind, text in reasons.items()}
        or {"providers": ["no provider account offers anything"]},
    )


def _demand_launching() -> None:
    """Refuses to make new machines while staff have switched that off."""
    if not installation.row().is_launching:
        raise Unavailable("New launches are switched off for the moment. Existing machines go on.")


def _quote(ranking: placement.Ranking) -> Quote:
    """The cheapest offer that fits, rounded up: whatever dearer is placed later is let in again before."""
    cheapest = ranking.choice(int(min(ranking.order, key=lambda row: float(ranking.usd_per_hour[row]))))
    price = Decimal(cheapest.usd_per_hour).quantize(Decimal("0.000001"), rounding=ROUND_UP)
    return Quote(cheapest.gpus, price)


def rank(order: Order, profile: Profile, now: datetime) -> tuple[offers.Shelf, placement.Ranking]:
    """What a launch would pick at this moment, and why not the rest. Buys nothing."""
    shelf = offers.load(now)
    wish = placement.Wish(
        profile, order.latitude, order.longitude, order.provider or None, order.preset or None
    )
    return shelf, placement.rank(shelf.stock, wish, offers.sizes(), shelf.paused)


def _create(by: Principal, tenant: Tenant, order: Order, profile: Profile, quote: Quote, now: datetime) -> VM:
    vm = VM.objects.create(
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
    record(happening(vm, "create", {"console": order.console, "game_id": order.game_id}, now, by.label))
    ring(RECONCILER)
    return vm


def _check_game(console: str, game_id: str) -> None:
    """A game without a file cannot be played, whatever is bought for it. Raises ValidationError. Without a library nobody can tell."""
    if game_id and settings.GAMES_URL and not has_file(console=console, game_id=game_id):
        raise bad_field("game_id", "the library has no file for this game")


def play(*, vm: VM, by: Principal, game_id: str, save_id: str = "", now: datetime) -> GameSession:
    """Queues a game on a VM that runs or will. The same game that already runs or waits is no second session."""
    if not game_id:
        raise bad_field("game_id", "this field is required")
    _check_game(vm.console_id, game_id)
    with transaction.atomic():
        # What the caller loaded may be over by now: nobody would ever end a session queued on such a VM.
        row = VM.objects.select_for_update(no_key=True).only("desired", "phase").get(pk=vm.pk)
        if row.is_terminal or row.desired != Desired.RUNNING:
            raise InvalidState(f"The VM is {row.status}; a game needs a running one.")
        latest = (
            vm.sessions.filter(status__in=GameSession.OPEN, is_end_wanted=False)
            .order_by("-queued_at")
            .first()
        )
        if latest is not None and (latest.game_id, latest.save_id) == (game_id, save_id):
            return latest
        slot = saves.slot_for(
            owner_id=vm.owner_id,
            subject=str(vm.pk),
            console=vm.console_id,
            game_id=game_id,
            save_id=save_id,
            made_by_id=vm.made_by_id,
            now=now,
        )
        number = slot.current.number if slot.current is not None else 0
        session = GameSession.objects.create(
            vm=vm, game_id=game_id, save_id=save_id, slot=slot, base=number, queued_at=now
        )
        record(
            happening(
                vm, "session_queued", {"session_id": str(session.pk), "game_id": game_id}, now, by.label
            )
        )
        _poke(vm, now)
    return session


def launch_on(*, vm: VM, by: Principal, game_id: str, save_id: str = "", now: datetime) -> GameSession:
    """`play` on a VM that must be running already. Raises InvalidState."""
    if vm.status is not Status.RUNNING:
        raise InvalidState(f"The VM is {vm.status}; launch on it when it is running.")
    return play(vm=vm, by=by, game_id=game_id, save_id=save_id, now=now)


def end_session(*, session: GameSession, by: Principal, now: datetime) -> None:
    """Ends a game. A session that never reached the machine ends at once; repeating it changes nothing."""
    with transaction.atomic():
        vm = VM.objects.select_for_update(no_key=True).only("phase").get(pk=session.vm_id)
        is_waiting = vm.phase != Phase.READY
        rows = GameSession.objects.filter(pk=session.pk, status__in=GameSession.OPEN)
        if is_waiting:
            changed = rows.update(status=GameSession.Status.ENDED, ended_at=now)
        else:
            changed = rows.filter(is_end_wanted=False).update(is_end_wanted=True)
        if changed:
            record(happening(session.vm, "session_end", {"session_id": str(session.pk)}, now, by.label))
            _poke(session.vm, now)


def start(*, vm: VM, by: Principal, now: datetime) -> None:
    """Starts a stopped VM on the same machine. Raises InvalidState, InsufficientCredits, Conflict."""
    try:
        with transaction.atomic():
            _start(vm, by, quotas.lock_for(vm), now)
    except IntegrityError as error:
        raise _taken(error, vm.owner, vm.console_id) from error


def _start(vm: VM, by: Principal, tenant: Tenant, now: datetime) -> None:
    _wish(vm, by, Status.STOPPED, Desired.RUNNING, "power_on_asked", now)
    vm.refresh_from_db(fields=["project"])
    if vm.project_id is not None and vm.project_id not in tenant.projects:
        raise Conflict(CHANGED)
    _admit(tenant, vm.project_id, quotas.use_of_vm(vm), now, vm=vm)
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
        if live.update(desired=Desired.GONE, updated_at=now):
            vm.desired = Desired.GONE
            record(happening(vm, "delete_asked", {}, now, by.label))
            _poke(vm, now)


def destroy_all(*, vms: VMQuerySet, by: Principal, now: datetime) -> int:
    """Ends every VM of a selection that is not ending yet, in a handful of statements; how many."""
    with transaction.atomic():
        live = vms.filter(phase__in=LIVE).exclude(desired=Desired.GONE).order_by("pk")
        rows = list(live.select_for_update(no_key=True, of=("self",)).only("owner", "project", "department"))
        if not rows:
            return 0
        VM.objects.filter(pk__in=[vm.pk for vm in rows]).update(
            desired=Desired.GONE, updated_at=now, next_look_at=now, is_acting=False, is_poked=True
        )
        record(*(happening(vm, "delete_asked", {}, now, by.label) for vm in rows))
        ring(RECONCILER)
    return len(rows)


def retry(*, vm: VM, by: Principal, now: datetime) -> None:
    """Places a failed VM anew. Everything of the first round is proven gone: that is what FAILED means.

    Raises InvalidState, Conflict, Unavailable.
    """
    _demand_launching()
    afresh: dict[str, Any] = {
        "phase": Phase.REQUESTED, "desired": Desired.RUNNING, "phase_since": now, "next_look_at": now, "updated_at": now,
        "error": "", "error_text": "", "attempt": None, "ready_at": None, "ended_at": None, "session_ends_at": None,
        "gaming_environment_ready": False, "is_acting": False, "action_sent_at": None, "alarmed_at": None, "ip_address": "",
        "agent_token_digest": "", "agent_seen_at": None, "agent_boot_id": "", "agent_sequence": 0, "agent_sent_at": None,
        "idle_since": None, "idle_seen_at": None, "idle_warned_at": None, "end_warned_at": None, "watched_at": None,
        "games_mounted": False,
    }  # fmt: skip
    try:
        with transaction.atomic():
            tenant = quotas.lock_for(vm)
            if not VM.objects.filter(pk=vm.pk, phase=Phase.FAILED).update(round=F("round") + 1, **afresh):
                raise InvalidState(f"The VM is {vm.status}; only one in error can be tried again.")
            vm.refresh_from_db()
            if vm.project_id is not None and vm.project_id not in tenant.projects:
                raise Conflict(CHANGED)
            _admit(tenant, vm.project_id, quotas.use_of_vm(vm), now, vm=vm)
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
        raise _taken(error, vm.owner, vm.console_id) from error


def extend(*, vm: VM, by: Principal, now: datetime) -> datetime:
    """Moves the end of a running VM's time by an hour, and starts its idle clock again; returns the new end. Raises InvalidState."""
    with transaction.atomic():
        running = VM.objects.filter(pk=vm.pk, phase=Phase.READY, desired=Desired.RUNNING)
        later = F("session_ends_at") + EXTEND_BY
        if not running.update(session_ends_at=later, last_activity=now, updated_at=now):
            raise InvalidState(f"The VM is {vm.status}; only a running one can be extended.")
        vm.refresh_from_db(fields=["session_ends_at"])
        assert vm.session_ends_at is not None
        record(happening(vm, "extend", {"until": vm.session_ends_at.isoformat()}, now, by.label))
    return vm.session_ends_at


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
            changes |= _move(vm, by, project_id)
        if changes:
            VM.objects.filter(pk=vm.pk).update(updated_at=now, **changes)
            vm.refresh_from_db()
            record(happening(vm, "update", changes, now, by.label))
        if "project_id" in changes:
            metering.regroup(vm=vm, now=now)
    return vm


def _move(vm: VM, by: Principal, project_id: int | None) -> dict[str, Any]:
    """The columns of a VM in another project; a department's project makes it the department's."""
    tenant = quotas.lock(by=by, owner=vm.owner, project_ids=[] if project_id is None else [project_id])
    if project_id is None:
        return {"project_id": None}
    vm.refresh_from_db(fields=["desired", "phase", "attempt"])
    quotas.fits_project(tenant, vm, project_id)
    within = tenant.projects[project_id].department_id
    return {"project_id": project_id, **({"department_id": within} if within is not None else {})}


def look_now(*, vm: VM, by: Principal, now: datetime) -> None:
    """Has the reconciler look at once: for an operator who knows more than the schedule."""
    if vm.is_terminal:
        raise InvalidState(f"The VM is {vm.status}: there is nothing left to look at.")
    with transaction.atomic():
        record(happening(vm, "look_asked", {}, now, by.label))
        _poke(vm, now)


def _wish(vm: VM, by: Principal, needed: Status, desired: Desired, action: str, now: datetime) -> None:
    """Changes the wish if the VM is in the needed status at this very moment."""
    with transaction.atomic():
        rows = VM.objects.filter(pk=vm.pk).with_status(needed)
        if not rows.update(desired=desired, updated_at=now):
            vm.refresh_from_db(fields=["desired", "phase"])
            raise InvalidState(f"The VM is {vm.status}; it must be {needed}.")
        vm.desired = desired
        record(happening(vm, action, {}, now, by.label))
        _poke(vm, now)


def _poke(vm: VM, now: datetime) -> None:
    """The next look is now, also when a step is under way and would set a later one."""
    VM.objects.filter(pk=vm.pk, phase__in=LIVE).update(next_look_at=now, is_acting=False, is_poked=True)
    ring(RECONCILER)
