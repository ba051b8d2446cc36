"""Moving archives from their rows to the storage: one after the other, each by one worker at a time, until it is there.

The row says what is due; losing a task loses a minute. Storing again is no error, because an archive's name is its own.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, QuerySet, Sum

from emulators import storages
from emulators.models import SaveArchive, UnstoredArchive
from gamer.crash import crash_point
from gamer.queue.enqueue import enqueue

log = logging.getLogger(__name__)

TASK = "emulators.tasks.store_saves"
# Longer than a task may take (Q_CLUSTER["timeout"]), so that nothing is written after somebody else's turn began.
TURN = timedelta(minutes=5)
WAITS_S = (10, 60, 300, 900)  # after the first, second … try; the last one for ever


def hint() -> None:
    """Has a worker look, once the caller's transaction commits."""
    enqueue(TASK, group="saves")


def store_next(now: datetime, clock: Callable[[], datetime]) -> bool:
    """Stores the archive that has waited longest; whether it did. False when none is due, or the storage is away."""
    claimed = _claimed(now)
    if claimed is None:
        return False
    unstored, content = claimed
    archive = unstored.archive
    crash_point("saves.before_put")
    try:
        storages.open_place().put(archive.name, content)
    except storages.SaveUnavailable as error:
        wait_s = WAITS_S[min(unstored.tries, len(WAITS_S)) - 1]
        log.warning("save %s waits %s s for the storage: %s", archive.pk, wait_s, error)
        _mine(unstored).update(
            token=None, next_try_at=clock() + timedelta(seconds=wait_s), last_error=str(error)[:300]
        )
        return False
    crash_point("saves.after_put")
    with transaction.atomic():
        if _mine(unstored).delete()[0]:
            SaveArchive.objects.filter(pk=archive.pk).update(stored_at=clock())
    return True


@dataclass(frozen=True, slots=True)
class Backlog:
    """Archives that wait for the storage. `last_error` is the oldest one's."""

    count: int
    bytes: int
    oldest_s: int
    last_error: str


def backlog(now: datetime) -> Backlog:
    """What waits; two queries over few rows."""
    rows = UnstoredArchive.objects.filter(archive__doomed_at=None)
    sums = rows.aggregate(count=Count("pk"), bytes=Sum("archive__size"))
    oldest = rows.order_by("taken_at").values_list("taken_at", "last_error").first() or (now, "")
    oldest_s = max(0, round((now - oldest[0]).total_seconds()))
    return Backlog(sums["count"], sums["bytes"] or 0, oldest_s, oldest[1])


def _claimed(now: datetime) -> tuple[UnstoredArchive, bytes] | None:
    token = uuid.uuid4()
    with transaction.atomic():
        due = UnstoredArchive.objects.filter(next_try_at__lte=now, archive__doomed_at=None)
        locked = due.select_for_update(skip_locked=True, of=("self",)).order_by("next_try_at", "pk")
        pk = locked.values_list("pk", flat=True).first()
        if pk is None:
            return None
        row = UnstoredArchive.objects.select_related("archive").defer("content").get(pk=pk)
        row.token, row.next_try_at, row.tries = token, now + TURN, row.tries + 1
        row.save(update_fields=["token", "next_try_at", "tries"])
        return row, UnstoredArchive.objects.contents([pk])[pk]


def _mine(unstored: UnstoredArchive) -> QuerySet[UnstoredArchive]:
    """The row, while this turn lasts."""
    return UnstoredArchive.objects.filter(pk=unstored.pk, token=unstored.token)
