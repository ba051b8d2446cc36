"""Looks after scans and uploads: takes up what died, ends what nobody goes on with, forgets what is old."""

from __future__ import annotations

from datetime import datetime, timedelta

from emulators import shelves
from emulators.models import GameUpload, LibraryScan
from emulators.services import scanning, uploads
from emulators.services.leases import MOST_TRIES, free
from gamer.queue.enqueue import waiting

ABANDONED = timedelta(hours=24)
KEPT = timedelta(days=90)


def look_after(now: datetime) -> None:
    """Losing or repeating a run of it costs minutes and changes nothing."""
    for scan in free(LibraryScan.objects.filter(state__in=LibraryScan.OPEN), now):
        if scan.tries >= MOST_TRIES:
            scanning.give_up(scan=scan, now=now)
        elif not waiting(scanning.TASK):
            scanning.hand_out(scan)
    moving = GameUpload.objects.filter(state__in=(GameUpload.State.WAITING, GameUpload.State.MOVING))
    for upload in free(moving, now):
        if upload.tries >= MOST_TRIES:
            text = upload.error_text or "Every process that moved it died."
            uploads.give_up(upload=upload, text=text, now=now)
        else:
            uploads.hand_out(upload)
    for upload in GameUpload.objects.filter(state=GameUpload.State.RECEIVING, changed_at__lt=now - ABANDONED):
        uploads.give_up(upload=upload, text="Nothing more of it came for a day.", now=now)
    _forget(now)


def _forget(now: datetime) -> None:
    LibraryScan.objects.filter(ended_at__lt=now - KEPT).delete()
    GameUpload.objects.filter(ended_at__lt=now - KEPT).delete()
    # Listed before the rows are asked: what begins in between has a row, and is not in the list.
    lying = uploads.staged_ids()
    # Kept for a while after a failure, so that it can be moved again.
    needed = GameUpload.objects.filter(state__in=GameUpload.OPEN) | GameUpload.objects.filter(
        state=GameUpload.State.FAILED, ended_at__gte=now - ABANDONED
    )
    uploads.sweep_staged(lying - {str(pk) for pk in needed.values_list("pk", flat=True)})


def scan_nightly(now: datetime) -> None:
    """A scan, where there is a library and none is under way."""
    if shelves.is_configured():
        scanning.ask(by=scanning.BY, now=now)
