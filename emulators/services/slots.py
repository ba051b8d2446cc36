"""What people do with save slots. Who is still playing on one is known above: `vms/saves.py` asks that first."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import EllipsisType
from typing import IO, Any
from uuid import UUID

from django.db import transaction

from accounts.models import User
from accounts.principal import Principal
from emulators import storages
from emulators.models import Console, SaveSlot, SaveVersion, UnstoredArchive
from emulators.services import keeping, saves
from emulators.services.saves import Brought, Taken, happening
from events.services import record
from gamer.errors import Conflict, NotFound, bad_field
from gamer.moments import written

# What consoles' clocks can show.
CLOCKS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def create(
    *,
    by: Principal,
    owner: User | None,
    console: str,
    game_id: str,
    save_id: str,
    now: datetime,
    clock_epoch: datetime | None = None,
) -> SaveSlot:
    """A slot before its first launch. Raises Conflict when there is one of that name, ValidationError."""
    if owner is None:
        raise bad_field("user_id", "a save slot is a player's; say whose")
    if not Console.objects.filter(pk=console).exists():
        raise bad_field("console_type", "there is no such console")
    _check_clock(clock_epoch)
    named = {"console_id": console, "game_id": game_id, "save_id": save_id}
    with transaction.atomic():
        slot = SaveSlot(owner=owner, clock_epoch=clock_epoch, created_at=now, **named)
        keeping.demand_slot(slot)
        SaveSlot.objects.bulk_create([slot], ignore_conflicts=True)
        if not SaveSlot.objects.filter(pk=slot.pk).exists():
            raise _taken(owner.pk, named)
        record(happening(slot, "create", {}, now, by.label))
    return slot


def change(
    *,
    slot: SaveSlot,
    by: Principal,
    now: datetime,
    save_id: str | None = None,
    clock_epoch: datetime | EllipsisType | None = ...,
) -> None:
    """Renames a slot, sets the clock in its game, or (None) has it go by the real time. Raises Conflict, ValidationError."""
    with transaction.atomic():
        slot = saves.lock(slot.pk)
        wanted: dict[str, Any] = {} if save_id is None else {"save_id": save_id}
        if not isinstance(clock_epoch, EllipsisType):
            _check_clock(clock_epoch)
            wanted["clock_epoch"] = clock_epoch
        changes = {
            name: [getattr(slot, name), value]
            for name, value in wanted.items()
            if getattr(slot, name) != value
        }
        if not changes:
            return
        if "save_id" in changes:
            named = {"console_id": slot.console_id, "game_id": slot.game_id, "save_id": save_id}
            if SaveSlot.objects.filter(owner=slot.owner_id, subject=slot.subject, **named).exists():
                raise _taken(slot.owner_id, named)
        SaveSlot.objects.filter(pk=slot.pk).update(**wanted)
        told = {name: [_plain(value) for value in pair] for name, pair in changes.items()}
        record(happening(slot, "update", told, now, by.label))


def restore(*, slot: SaveSlot, number: int, by: Principal, now: datetime) -> SaveVersion:
    """Makes an older version's content the current one, as a new version; the current one's is that already. Raises NotFound."""
    with transaction.atomic():
        slot = saves.lock(slot.pk)
        version = find_version(slot_id=slot.pk, number=number)
        current = slot.current
        if current is not None and current.archive_id == version.archive_id:
            return current
        new = saves.add_version(
            slot,
            version.archive,
            is_current=True,
            base=current.number if current is not None else 0,
            restored_from=number,
            by=by.label,
            now=now,
        )
        told = {"number": new.number, "restored_from": number}
        record(happening(slot, "save_restored", told, now, by.label))
    return new


def upload(*, slot: SaveSlot, archive: bytes, digest: str, by: Principal, now: datetime) -> Taken:
    """Takes a player's own archive, whose digest is known, as the current version. Raises Conflict when there is no room."""
    with transaction.atomic():
        slot = saves.lock(slot.pk)
        base = slot.current.number if slot.current is not None else 0
        return saves.keep(slot, Brought(digest, archive, base), by=by.label, now=now)


def delete(*, slot: SaveSlot, by: Principal, now: datetime) -> None:
    """Deletes a slot with all its versions; their archives follow in the background."""
    with transaction.atomic():
        slot = saves.lock(slot.pk)
        SaveSlot.objects.filter(pk=slot.pk).update(current=None)
        versions = slot.versions.all().delete()[0]
        keeping.doom(slot.archives.filter(doomed_at=None), now)
        record(happening(slot, "delete", {"versions": versions}, now, by.label))
        slot.delete()


@dataclass(frozen=True, slots=True)
class Delivery:
    """An archive for somebody's browser: a `link` to it, else a `file` to read, else its `content`."""

    filename: str
    link: str = ""
    file: IO[bytes] | None = None
    content: bytes = field(default=b"", repr=False)


def deliver(*, slot: SaveSlot, number: int, by: Principal, now: datetime) -> Delivery:
    """A version's archive, without asking a storage elsewhere. It is recorded who took what is another's.

    Raises NotFound, SaveUnavailable.
    """
    archive = find_version(slot_id=slot.pk, number=number).archive
    if by.key is not None or by.user is None or by.user.pk != slot.owner_id:
        record(happening(slot, "save_downloaded", {"number": number}, now, by.label))
    words = [slot.console_id, slot.game_id, slot.save_id, f"v{number}"]
    filename = "-".join(re.sub(r"[^A-Za-z0-9._-]", "_", word) for word in words if word) + ".tar.gz"
    if archive.stored_at is None:
        inline = UnstoredArchive.objects.contents([archive.pk])
        if archive.pk in inline:
            return Delivery(filename, content=inline[archive.pk])
    place = storages.open_place()
    link = place.link(archive.name, filename=filename)
    return Delivery(filename, link=link) if link else Delivery(filename, file=place.file(archive.name))


def find_version(*, slot_id: UUID, number: int) -> SaveVersion:
    """A slot's version with its archive. Raises NotFound."""
    rows = SaveVersion.objects.select_related("archive", "slot")
    # A number past the column's is none there.
    version = rows.filter(slot=slot_id, number=number).first() if number < 2**31 else None
    if version is None:
        raise NotFound("This slot has no such version.")
    return version


def _check_clock(clock_epoch: datetime | None) -> None:
    if clock_epoch is not None and not CLOCKS[0] <= clock_epoch < CLOCKS[1]:
        raise bad_field("clock_epoch", f"from {CLOCKS[0]:%Y} to before {CLOCKS[1]:%Y}")


def _taken(owner_id: int | None, named: dict[str, Any]) -> Conflict:
    first = SaveSlot.objects.filter(owner=owner_id, **named).values_list("pk", flat=True).first()
    return Conflict(
        "There is a slot of this name for this game.",
        details={"slot_id": [str(first)], "save_id": ["Taken."]},
    )


def _plain(value: object) -> object:
    return written(value) if isinstance(value, datetime) else value
