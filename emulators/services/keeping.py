"""How much is kept: a player's room, a slot's old versions, and archives that no version holds any more.

Rows go first and say what is left to do: an archive without versions is doomed, then deleted in the storage, then forgotten.
Whoever dies in between leaves a doomed row, and deleting again is no error.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q, QuerySet, Sum

from emulators import retention, storages
from emulators.models import SaveArchive, SaveSlot, SaveVersion, UnstoredArchive
from gamer.crash import crash_point
from gamer.errors import Conflict
from gamer.queue import schedules

FORGET_TASK = "emulators.tasks.forget_saves"
FORGET_EVERY = timedelta(hours=1)
BATCH = 200
MIB = 1024 * 1024
MOST_SLOTS = 1000  # of one player


def slots_of_player(slot: SaveSlot) -> QuerySet[SaveSlot]:
    """All slots of the slot's owner; without one, those of its VM."""
    return SaveSlot.objects.filter(owner=slot.owner_id, subject=slot.subject)


def demand_slot(slot: SaveSlot) -> None:
    """Raises Conflict when its player has as many slots as there may be."""
    if slots_of_player(slot).count() >= MOST_SLOTS:
        raise Conflict(f"There are {MOST_SLOTS} save slots already; delete some.")


def make_room(slot: SaveSlot, size: int, now: datetime) -> None:
    """Sees that the slot's player may store so many bytes more, if need be by letting go of what is oldest and no slot's current.

    Called under the player's lock. Raises Conflict when what is current takes all the room.
    """
    theirs = SaveArchive.objects.filter(slot__in=slots_of_player(slot), doomed_at=None)
    missing = (theirs.aggregate(sum=Sum("size"))["sum"] or 0) + size - settings.SAVES_BYTES_PER_PLAYER
    if missing <= 0:
        return
    list(slots_of_player(slot).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    current = slots_of_player(slot).filter(current__isnull=False).values("current__archive")
    spare = theirs.exclude(pk__in=current).annotate(last=Max("versions__created_at"))
    chosen: list[UUID] = []
    for pk, spared in spare.order_by("last", "pk").values_list("pk", "size"):
        chosen.append(pk)
        missing -= spared
        if missing <= 0:
            break
    if missing > 0:
        room = settings.SAVES_BYTES_PER_PLAYER // MIB
        raise Conflict(f"Saves may take {room} MiB in all, and these would take more; delete some slots.")
    SaveVersion.objects.filter(archive__in=chosen).delete()
    doom(theirs.filter(pk__in=chosen), now)


def doom(archives: QuerySet[SaveArchive], now: datetime) -> None:
    """Marks archives that have no version any more; under their slots' locks, so that none gets one."""
    doomed = list(archives.values_list("pk", flat=True))
    SaveArchive.objects.filter(pk__in=doomed).update(doomed_at=now)
    # One that is being stored at this moment goes with its archive, once its turn is over.
    UnstoredArchive.objects.filter(archive__in=doomed, token=None).delete()


def thin(now: datetime) -> int:
    """Lets go of versions beyond those that are kept, slot by slot; how many. Current ones and what they restored always stay."""
    gone, last = 0, UUID(int=0)
    while True:
        crowded = SaveSlot.objects.filter(pk__gt=last, last_number__gt=settings.SAVES_KEPT_VERSIONS)
        batch = list(crowded.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not batch:
            return gone
        gone += _thin(batch, now)
        last = batch[-1]


def _thin(slots: Collection[UUID], now: datetime) -> int:
    """Slots that somebody is at are left for the next night."""
    with transaction.atomic():
        rows = SaveSlot.objects.filter(pk__in=slots).select_related("current")
        locked = {row.pk: row for row in rows.select_for_update(skip_locked=True, no_key=True, of=("self",))}
        versions: dict[UUID, list[tuple[int, datetime]]] = {pk: [] for pk in locked}
        columns = ("slot_id", "number", "created_at")
        for slot_id, number, at in SaveVersion.objects.filter(slot__in=locked).values_list(*columns):
            versions[slot_id].append((number, at))
        gone = 0
        for pk, known in versions.items():
            wanted = retention.kept(
                known, newest=settings.SAVES_KEPT_VERSIONS, days=settings.SAVES_KEPT_DAYS, now=now
            )
            current = locked[pk].current
            if current is not None:
                wanted |= {current.number, current.restored_from or current.number}
            if old := {number for number, _ in known} - wanted:
                gone += SaveVersion.objects.filter(slot=pk, number__in=old).delete()[0]
        doom(SaveArchive.objects.filter(slot__in=locked, doomed_at=None, versions=None), now)
    return gone


def forget_next(now: datetime) -> bool:
    """Deletes the archive that was doomed first in the storage, then its row; False when none is.

    Raises SaveUnavailable; that archive is due again later, so that the others get their turn.
    """
    at_work = Q(unstored__token__isnull=False, unstored__next_try_at__gt=now)
    doomed = SaveArchive.objects.filter(doomed_at__lte=now).exclude(at_work)
    archive = doomed.order_by("doomed_at", "pk").first()
    if archive is None:
        return False
    try:
        storages.open_place().delete(archive.name)
    except storages.SaveUnavailable:
        SaveArchive.objects.filter(pk=archive.pk).update(doomed_at=now + FORGET_EVERY)
        raise
    crash_point("saves.after_delete")
    archive.delete()
    return True


def seed(now: datetime) -> None:
    """Has archives moved to the storage and doomed ones deleted, and old versions let go every night."""
    schedules.keep("store saves", "emulators.tasks.store_saves", minutes=1)
    schedules.keep("delete doomed saves", FORGET_TASK, minutes=FORGET_EVERY // timedelta(minutes=1))
    schedules.keep("thin saves", "emulators.tasks.thin_saves", minutes=24 * 60)
