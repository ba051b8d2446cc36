"""Doors for the queue: nothing in, nothing out."""

from __future__ import annotations

import logging
import time

from django.utils import timezone

from emulators.services import keeping, storing
from emulators.storages import SaveUnavailable

log = logging.getLogger(__name__)

# The last archive starts on its way within this time, so that the slowest still ends before the queue's time-out.
START_WITHIN_S = 20


def store_saves() -> None:
    """Moves archives to the storage until none is due, the storage is away, or the time is up."""
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until and storing.store_next(timezone.now(), timezone.now):
        pass


def forget_saves() -> None:
    """Deletes doomed archives until there are none, or the time is up; what is left, and what fails, has another hour."""
    until = time.monotonic() + START_WITHIN_S
    try:
        while time.monotonic() < until and keeping.forget_next(timezone.now()):
            pass
    except SaveUnavailable as error:
        log.warning("doomed saves wait for the storage: %s", error)


def thin_saves() -> None:
    keeping.thin(timezone.now())
