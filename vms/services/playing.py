"""Games on VMs: queued, ended."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.principal import Principal
from emulators.services import demand_file, saves
from events.services import Happening, record
from gamer.errors import InvalidState, bad_field
from vms.lifecycle import Desired, Phase, Status
from vms.models import VM, GameSession
from vms.reconcile.apply import happening
from vms.services.poking import poke


def play(*, vm: VM, by: Principal, game_id: str, save_id: str = "", now: datetime) -> GameSession:
    """Queues a game on a VM that runs or will. The same game that already runs or waits is no second session."""
    if not game_id:
        raise bad_field("game_id", "this field is required")
    demand_file(console=vm.console_id, game_id=game_id)
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
        session = queued(vm, game_id, save_id, now)
        record(told(session, by, now))
        VM.objects.filter(pk=vm.pk).update(last_activity=now)  # the idle clock starts again
        poke(vm, now)
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
            poke(session.vm, now)


def queued(vm: VM, game_id: str, save_id: str, now: datetime) -> GameSession:
    """A session that waits for its machine, with the player's slot; what the slot holds then is brought there when it is launched."""
    slot = saves.slot_for(
        owner_id=vm.owner_id,
        subject=str(vm.pk),
        console=vm.console_id,
        game_id=game_id,
        save_id=save_id,
        made_by_id=vm.made_by_id,
        now=now,
    )
    base = slot.current.number if slot.current is not None else 0
    return GameSession.objects.create(
        vm=vm, game_id=game_id, save_id=save_id, slot=slot, base=base, queued_at=now
    )


def told(session: GameSession, by: Principal, now: datetime) -> Happening:
    """The event of a session that was queued."""
    details = {"session_id": str(session.pk), "game_id": session.game_id}
    return happening(session.vm, "session_queued", details, now, by.label)
