"""Saves: slots are found or made, archives are taken and given back.

An archive is taken into a row, so that whoever brought it may forget it; `storing` moves it to the storage. Every change of a
slot's versions holds the slot's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from emulators import archives, storages
from emulators.models import SaveArchive, SaveSlot, SaveVersion, UnstoredArchive
from emulators.services import keeping, storing
from emulators.storages import SaveUnavailable as SaveUnavailable
from events.services import Happening, record
from gamer.errors import NotFound, bad_field

RESOURCE = "saves"
NEWEST = 50  # versions of a slot that a machine may still ask about


@dataclass(frozen=True, slots=True)
class SaveContent:
    """A slot's current version. `number` 0, with nothing else, is an empty slot. `clock_at`: the time in the game, None for the real."""

    slot_id: UUID
    number: int = 0
    digest: str = ""
    size: int = 0
    name: str = ""
    content: bytes | None = field(default=None, repr=False)
    clock_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Where an archive went. `is_new` is False for one that was there already."""

    number: int
    is_current: bool
    is_new: bool


def slot_for(
    *,
    owner_id: int | None,
    subject: str,
    console: str,
    game_id: str,
    save_id: str,
    now: datetime,
    made_by_id: int | None = None,
) -> SaveSlot:
    """The slot of that name, made when there is none, and locked until the caller's transaction ends.

    `subject` is the VM's id, which keeps the saves of VMs without an owner apart.
    """
    named: dict[str, Any] = {"console_id": console, "game_id": game_id, "save_id": save_id}
    key = {"owner_id": owner_id, "subject": subject if owner_id is None else "", **named}
    mine = SaveSlot.objects.select_related("current").select_for_update(no_key=True, of=("self",))
    slot = mine.filter(**key).first()
    if slot is not None:
        return slot
    new = SaveSlot(**key, made_by_id=made_by_id if owner_id is None else None, created_at=now)
    keeping.demand_slot(new)
    try:
        with transaction.atomic():
            new.save(force_insert=True)
    except IntegrityError:
        slot = mine.filter(**key).first()  # somebody made it at the same moment
        if slot is None:
            raise
        return slot
    return new


def content_of(slots: Collection[UUID]) -> dict[UUID, SaveContent]:
    """What each slot has now; two statements. The bytes come along only until they are in the storage."""
    rows = list(SaveSlot.objects.filter(pk__in=slots).select_related("current__archive"))
    inline = UnstoredArchive.objects.contents([row.current.archive_id for row in rows if row.current])
    return {row.pk: _content(row, inline) for row in rows}


def _content(slot: SaveSlot, inline: Mapping[UUID, bytes]) -> SaveContent:
    version = slot.current
    if version is None:
        return SaveContent(slot.pk, clock_at=slot.clock_at)
    archive = version.archive
    return SaveContent(
        slot_id=slot.pk,
        number=version.number,
        digest=archive.digest,
        size=archive.size,
        name=archive.name,
        content=inline.get(archive.pk),
        clock_at=slot.clock_at,
    )


def read(content: SaveContent) -> bytes:
    """The archive: from the row, or from the storage. Asks no database; may take time. Raises SaveUnavailable."""
    return content.content if content.content is not None else storages.open_place().get(content.name)


def stored(slots: Collection[UUID]) -> dict[tuple[UUID, str, int | None], Taken]:
    """Of each slot's newest versions, by slot, digest and base, where that content went; of the current ones for every base, as None.

    One query. A content that comes back from another base is a version of its own: a player who returned to what they had.
    """
    ranked = SaveVersion.objects.filter(slot__in=slots).annotate(
        rank=Window(RowNumber(), partition_by="slot", order_by="-number"),
        is_current=Q(slot__current=F("pk")),
    )
    rows = ranked.filter(rank__lte=NEWEST).order_by("number")
    found: dict[tuple[UUID, str, int | None], Taken] = {}
    told = rows.values_list("slot", "archive__digest", "base", "number", "is_current")
    for slot, digest, base, number, is_current in told:
        found[slot, digest, None if is_current else base] = Taken(number, bool(is_current), False)
    return found


def take(
    *,
    slot_id: UUID,
    session_id: UUID | None,
    subject: str,
    base: int,
    digest: str,
    archive: bytes,
    by: str,
    now: datetime,
    played_s: int = 0,
) -> Taken:
    """Takes an archive as the slot's next version, current unless something newer is there that its maker did not know.

    What is current already, or was taken before, is taken once. `by` is the actor's label; `played_s` how far the session was:
    within one session what was played longer is newer, whatever the order in which it comes.

    Raises ValidationError or TooLarge for what the archive is, NotFound for a slot that is gone.
    """
    found = archives.digest_of(archive)
    if found != digest:
        raise bad_field("digest", f"the archive's content has the digest {found}")
    brought = Brought(digest, archive, base, session_id, subject, played_s)
    with transaction.atomic():
        return keep(lock(slot_id), brought, by=by, now=now)


@dataclass(frozen=True, slots=True)
class Brought:
    """An archive that was looked into, and where it comes from."""

    digest: str
    packed: bytes = field(repr=False)
    base: int
    session_id: UUID | None = None
    subject: str = ""
    played_s: int = 0


def keep(slot: SaveSlot, brought: Brought, *, by: str, now: datetime) -> Taken:
    """What `take` does with an archive it has looked into. Called under the slot's lock."""
    if brought.base > slot.last_number:
        if brought.session_id is None:
            raise bad_field("base", f"the slot has no version {brought.base}")
        # Told to the machine, and lost with the rows since: a restored database. What was played is kept, beside what is here.
        brought = replace(brought, base=0)
    known = _known(slot, brought.digest, brought.base)
    if known is not None:
        return Taken(known.number, known.pk == slot.current_id, False)
    is_current = _continues(slot, brought)
    origin = {"session_id": brought.session_id, "subject": brought.subject, "played_s": brought.played_s}
    archive = _archive(slot, brought, now)
    version = add_version(slot, archive, is_current=is_current, base=brought.base, by=by, now=now, **origin)
    told = {"number": version.number, "bytes": archive.size, "vm": brought.subject}
    record(happening(slot, "save_stored" if is_current else "save_conflict", told, now, by))
    return Taken(version.number, is_current, True)


def lock(slot_id: UUID) -> SaveSlot:
    """The slot, alone with it and with its player's room until the transaction ends. Raises NotFound."""
    _lock_rooms([slot_id])
    rows = SaveSlot.objects.select_related("current__archive")
    slot = rows.select_for_update(no_key=True, of=("self",)).filter(pk=slot_id).first()
    if slot is None:
        raise NotFound("There is no such save slot.")
    return slot


def _lock_rooms(slots: Collection[UUID]) -> None:
    """The rooms of these slots' players, in order. Before any slot's row: whoever has one of these wants its room next."""
    players = SaveSlot.objects.filter(pk__in=slots).values_list("owner_id", "subject")
    with connection.cursor() as cursor:
        for name in sorted({f"gamer.saves {whose}" for whose in players}):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _known(slot: SaveSlot, digest: str, base: int) -> SaveVersion | None:
    """The version that is this archive already: the current one, or one that was made of the same base before."""
    current = slot.current
    if current is not None and current.archive.digest == digest:
        return current
    return slot.versions.filter(archive__digest=digest, base=base).first()


def _continues(slot: SaveSlot, brought: Brought) -> bool:
    """Whether it was made knowing the current version: from it, or in the session that made it, later."""
    current = slot.current
    if current is None or brought.base == current.number:
        return True
    is_same_session = brought.session_id is not None and current.session_id == brought.session_id
    return is_same_session and brought.played_s >= current.played_s


def _archive(slot: SaveSlot, brought: Brought, now: datetime) -> SaveArchive:
    """The slot's archive of that content; a new one waits for the storage."""
    known = slot.archives.filter(digest=brought.digest, doomed_at=None).first()
    if known is not None:
        return known
    size, pk = len(brought.packed), uuid4()
    keeping.make_room(slot, size, now)
    name = f"{slot.pk}/{brought.digest}.{pk.hex[:12]}"
    archive = SaveArchive.objects.create(
        pk=pk, slot=slot, digest=brought.digest, size=size, name=name, created_at=now
    )
    UnstoredArchive.objects.keep(archive, brought.packed, now)
    storing.hint()
    return archive


def add_version(
    slot: SaveSlot, archive: SaveArchive, *, is_current: bool, now: datetime, by: str, **columns: Any
) -> SaveVersion:
    """One more version of a slot that is locked."""
    slot.last_number += 1
    version = SaveVersion.objects.create(
        slot=slot,
        number=slot.last_number,
        archive=archive,
        is_conflict=not is_current,
        by=by[:100],
        created_at=now,
        **columns,
    )
    if is_current:
        slot.current = version
    slot.save(update_fields=["last_number", "current"])
    return version


def add_played(slots: Mapping[UUID, int]) -> None:
    """So many seconds more were played on these slots: the clocks of their games go on. Within a transaction, as what `lock` locks."""
    _lock_rooms(slots)
    for pk, seconds in sorted(slots.items()):
        SaveSlot.objects.filter(pk=pk).update(played_s=F("played_s") + seconds)


def happening(
    slot: SaveSlot, action: str, details: Mapping[str, object], now: datetime, by: str
) -> Happening:
    """An event about a slot, addressed to its owner."""
    told = {"console": slot.console_id, "game_id": slot.game_id, "save_id": slot.save_id, **details}
    return Happening(now, by, action, RESOURCE, str(slot.pk), told, owner_id=slot.owner_id)
