"""Doors for the queue: ids in, nothing out. Every task claims its row again; a lost one is made up by `look_after_library`."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from emulators.services import scanning, upkeep, uploads


def scan(scan_id: int) -> None:
    scanning.carry_out(scan_id=scan_id, now=timezone.now())


def scan_nightly() -> None:
    upkeep.scan_nightly(timezone.now())


def move_upload(upload_id: str) -> None:
    uploads.move(upload_id=UUID(upload_id), now=timezone.now())


def look_after_library() -> None:
    upkeep.look_after(timezone.now())
