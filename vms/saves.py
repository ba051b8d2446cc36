"""Save slots as people see and change them. Only here it is known who plays on one: while somebody does, it is left alone."""

from __future__ import annotations

from datetime import datetime
from types import EllipsisType
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.principal import Principal
from emulators import archives
from emulators.models import SaveSlot, SaveSlotQuerySet, SaveVersion
from emulators.services import saves, slots
from emulators.services.saves import Taken
from gamer.errors import Conflict, NotFound
from vms.models import GameSession

OPEN = GameSession.objects.filter(slot=OuterRef("pk"), status__in=GameSession.OPEN)


def visible(
    principal: Principal, *, user_id: str = "", console_type: str = "", game_id: str = ""
) -> SaveSlotQuerySet:
    """The slots somebody may see, with what is shown of them."""
    wanted = {"owner__handle": user_id, "console": console_type, "game_id": game_id}
    rows = SaveSlot.objects.visible_to(principal).filter(**{name: one for name, one in wanted.items() if one})
    return rows.select_related("owner", "current__archive").annotate(is_in_use=Exists(OPEN))


def find(principal: Principal, slot_id: UUID | str) -> SaveSlot:
    """One slot, as `visible`. Raises NotFound for somebody else's."""
    slot = visible(principal).filter(pk=slot_id).first()
    if slot is None:
        raise NotFound("There is no such save slot.")
    return slot


def playing_on(slot: SaveSlot) -> GameSession | None:
    """The game that runs or waits on a slot."""
    return GameSession.objects.filter(slot=slot, status__in=GameSession.OPEN).order_by("-queued_at").first()


def versions_of(slot: SaveSlot) -> QuerySet[SaveVersion]:
    """The newest first."""
    return SaveVersion.objects.filter(slot=slot).select_related("archive", "slot").order_by("-number")


def change(
    *,
    slot: SaveSlot,
    by: Principal,
    now: datetime,
    save_id: str | None = None,
    clock_epoch: datetime | EllipsisType | None = ...,
) -> None:
    """As `slots.change`; a slot somebody plays on keeps its name. Its clock holds from the next launch on."""
    with transaction.atomic():
        # Sent back as it was read, the name does not change.
        if save_id is not None and save_id != saves.lock(slot.pk).save_id:
            _demand_rest(slot)
        slots.change(slot=slot, by=by, now=now, save_id=save_id, clock_epoch=clock_epoch)


def restore(*, slot: SaveSlot, number: int, by: Principal, now: datetime) -> SaveVersion:
    """As `slots.restore`. Raises Conflict while somebody plays: what they save next would be kept beside."""
    with transaction.atomic():
        _demand_rest(slot)
        return slots.restore(slot=slot, number=number, by=by, now=now)


def upload(*, slot: SaveSlot, archive: bytes, by: Principal, now: datetime) -> Taken:
    """As `slots.upload`. Raises ValidationError or TooLarge for what the archive is, Conflict while somebody plays."""
    digest = archives.digest_of(archive)
    with transaction.atomic():
        _demand_rest(slot)
        return slots.upload(slot=slot, digest=digest, archive=archive, by=by, now=now)


def delete(*, slot: SaveSlot, by: Principal, now: datetime) -> None:
    """As `slots.delete`. Raises Conflict while somebody plays."""
    with transaction.atomic():
        # Its sessions' rows before the slot's, as `sessions.note_played` does.
        GameSession.objects.filter(slot=slot).exclude(status__in=GameSession.OPEN).update(slot=None)
        _demand_rest(slot)
        slots.delete(slot=slot, by=by, now=now)


def _demand_rest(slot: SaveSlot) -> None:
    """Under the slot's lock, which a launch takes too: nobody begins to play meanwhile."""
    saves.lock(slot.pk)
    session = playing_on(slot)
    if session is not None:
        raise Conflict(
            "Somebody plays on this save slot. End the game first.",
            details={"session_id": [str(session.pk)], "vm_id": [str(session.vm_id)]},
        )
