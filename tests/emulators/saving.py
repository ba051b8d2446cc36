"""Archives of saves as a machine packs them, and a few as it never would."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from emulators.archives import digest_of
from emulators.models import Console, SaveSlot
from emulators.services import saves
from emulators.services.saves import Taken

Member = Callable[[tarfile.TarFile], None]


def tar(*members: Member, **options: Any) -> bytes:
    """A gzip-compressed tar file of what is put in, whatever that is."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, **options) as out:
        for member in members:
            member(out)
    return gzip.compress(raw.getvalue(), 1, mtime=0)


def member(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, **columns: Any) -> Member:
    def add(out: tarfile.TarFile) -> None:
        one = tarfile.TarInfo(name)
        one.type, one.size = kind, len(content)
        for column, value in columns.items():
            setattr(one, column, value)
        out.addfile(one, io.BytesIO(content))

    return add


def packed(files: Mapping[str, bytes]) -> bytes:
    """An archive as machines make them."""
    return tar(*(member(name, content) for name, content in sorted(files.items())))


def slot_of(owner: Any, now: datetime, *, console: str = "snes", save_id: str = "") -> SaveSlot:
    Console.objects.get_or_create(slug=console, defaults={"display_name": console})
    whose = (
        {"owner_id": owner.pk, "subject": ""} if owner is not None else {"owner_id": None, "subject": "vm-1"}
    )
    with transaction.atomic():
        return saves.slot_for(**whose, console=console, game_id="zelda", save_id=save_id, now=now)


def brought(
    slot: SaveSlot, text: bytes, now: datetime, *, base: int = 0, session: UUID | None = None, **more: Any
) -> Taken:
    """A machine brings a save of one file."""
    archive = packed({"zelda.srm": text})
    return saves.take(
        slot_id=slot.pk,
        session_id=session or uuid4(),
        subject="0f8c2c3e-7a54-4f0f-9d0e-6b7c1d2e3f40",
        base=base,
        digest=digest_of(archive),
        archive=archive,
        by="agent:0f8c2c3e",
        now=now,
        **more,
    )
