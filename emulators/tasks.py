"""Doors for the queue: ids in, nothing out. Every task claims its rows again; a lost one is made up by a later run."""

from __future__ import annotations

import logging
import time
from uuid import UUID

from django.utils import timezone

from emulators.services import keeping, scanning, storing, upkeep, uploads
from emulators.storages import SaveUnavailable
from gamer.queue.enqueue import enqueue

log = logging.getLogger(__name__)

# The last archive starts on its way within this time, so that the slowest still ends before the queue's time-out.
START_WITHIN_S = 20
FORGET_FOR_S = 55 * 60


def store_saves() -> None:
    """Moves archives to the storage until none is due, the storage is away, or the time is up."""
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until and storing.store_next(timezone.now(), timezone.now):
        pass


def forget_saves(last_s: float = 0) -> None:
    """Deletes doomed archives until there are none, or one fails: what is left has another hour.

    By turns, so that other tasks get the worker; until `last_s`, when the next hour's run takes over.
    """
    until, last_s = time.monotonic() + START_WITHIN_S, last_s or time.time() + FORGET_FOR_S
    try:
        while keeping.forget_next(timezone.now()):
            if time.monotonic() >= until:
                if time.time() < last_s:
                    enqueue(keeping.FORGET_TASK, last_s, group="saves")
                return
    except SaveUnavailable as error:
        log.warning("doomed saves wait for the storage: %s", error)


def thin_saves() -> None:
    keeping.thin(timezone.now())


def scan(scan_id: int) -> None:
    scanning.carry_out(scan_id=scan_id, now=timezone.now())


def scan_nightly() -> None:
    upkeep.scan_nightly(timezone.now())


def move_upload(upload_id: str) -> None:
    uploads.move(upload_id=UUID(upload_id), now=timezone.now())


def look_after_library() -> None:
    upkeep.look_after(timezone.now())
