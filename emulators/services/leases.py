"""Work of minutes in the background: claimed by one process, renewed while it goes on, taken over once it stops.

The lease is renewed by the work itself, from whichever thread does it, so that work that hangs loses it like work that died.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone

from emulators.models.library import Leased

LEASE = timedelta(seconds=120)
RENEW_S = 15.0
# How often it is begun, deaths included, and how long it rests in between.
MOST_TRIES = 5
REST = timedelta(seconds=60)
# What the queue gives it; it is bounded by its own progress.
TIMEOUT_S = 6 * 3600

Row = TypeVar("Row", bound=Leased)


class LeaseLost(Exception):
    """Somebody else has taken the work over, or ended it. Nothing may be written any more."""


class Lease(Generic[Row]):
    """The right to do one row's work, until it is not renewed in time. `tries` counts this one."""

    def __init__(self, rows: models.QuerySet[Row], pk: Any, token: uuid.UUID) -> None:
        self._rows = rows.filter(pk=pk, lease_token=token)
        self._home = threading.get_ident()
        self._renew_at = time.monotonic() + RENEW_S
        self._lock = threading.Lock()
        self.row = self._rows.get()

    @property
    def is_last_try(self) -> bool:
        return self.row.tries >= MOST_TRIES

    def keep(self, **changes: Any) -> None:
        """Renews it and notes how far the work is. Raises LeaseLost."""
        self._renew_at = time.monotonic() + RENEW_S
        self._write(lease_until=timezone.now() + LEASE, **changes)

    def tick(self, progress: Callable[[], dict[str, Any]]) -> None:
        """`keep`, when it is time for it. Cheap, and may be called from any thread. Raises LeaseLost."""
        if time.monotonic() < self._renew_at or not self._lock.acquire(blocking=False):
            return
        try:
            self.keep(**progress())
        finally:
            self._lock.release()
            if threading.get_ident() != self._home:
                connection.close()  # this thread's own

    def end(self, **changes: Any) -> None:
        """Writes the outcome and gives it back. Raises LeaseLost."""
        self._write(lease_token=None, lease_until=None, **changes)

    def rest(self, now: datetime, **changes: Any) -> None:
        """Gives it back to whoever looks after a while. Raises LeaseLost."""
        self._write(lease_token=None, lease_until=now + REST, **changes)

    def _write(self, **changes: Any) -> None:
        if not self._rows.update(**changes):
            raise LeaseLost


def claim(rows: models.QuerySet[Row], pk: Any, now: datetime, **changes: Any) -> Lease[Row] | None:
    """The lease of a row that waits or whose worker is dead; None when somebody works on it, or nothing is to be done."""
    token = uuid.uuid4()
    taken = free(rows, now).filter(pk=pk)
    wanted = {"lease_token": token, "lease_until": now + LEASE, "tries": F("tries") + 1}
    return Lease(rows, pk, token) if taken.update(**wanted, **changes) else None


def free(rows: models.QuerySet[Row], now: datetime) -> models.QuerySet[Row]:
    """Those that nobody works on."""
    return rows.filter(Q(lease_until=None) | Q(lease_until__lt=now))
