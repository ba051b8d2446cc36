"""Compares the library with the games: lists every file of it, then sorts all of them at once.

Listing writes what is seen, in batches, and harms nothing when it ends in the middle. Only a complete listing is sorted, in one
transaction: games get their files, files without a game get one, what is gone is known to be missing. A scan that died is
taken up again from the start; doing any of it twice ends in the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.principal import Principal, policy
from emulators import filenames, shelves, statements
from emulators.filenames import Finding, Judged, Named
from emulators.models import Console, LibraryFile, LibraryScan
from emulators.services.leases import TIMEOUT_S, Lease, LeaseLost, claim
from events.services import Happening, record
from gamer.context import about
from gamer.crash import crash_point
from gamer.errors import Conflict, InvalidState
from gamer.queue.enqueue import enqueue

TASK = "emulators.tasks.scan"
BY = policy("library")
ACTOR = BY.label
RESOURCE, SUBJECT = "emulators", "library"
ALONE = "library_scan_alone"  # the law of the database
BATCH = 2000
OURS = (
    "emulators",
    "system",
)  # the folders of the emulators' own programs, and of what consoles themselves bring
NO_LIBRARY = "There is no library: GAMES_URL names one."

State = LibraryScan.State
Tell = Callable[[str, int], None]


def ask(*, by: Principal, now: datetime, is_own_work: bool = False) -> tuple[LibraryScan, bool]:
    """Has the library scanned: the scan, and whether it is new; one that waits or runs is not doubled. Raises InvalidState.

    `is_own_work`: the caller carries a new one out at once, and no worker is told, who would be there first every other time.
    """
    if not shelves.is_configured():
        raise InvalidState(NO_LIBRARY)
    # Looked for first: while one sorts, an insert would wait for it.
    if under_way := _under_way():
        return under_way, False
    try:
        with transaction.atomic():
            scan = LibraryScan.objects.create(asked_by=by.label, asked_at=now)
            record(Happening(now, by.label, "scan_asked", RESOURCE, SUBJECT, {"scan": scan.pk}))
            if not is_own_work:
                hand_out(scan)
    except IntegrityError as error:
        if ALONE not in str(error):
            raise
        under_way = _under_way()
        if under_way is None:
            raise Conflict("A scan ended at this moment. Ask again.") from None
        return under_way, False
    return scan, True


def _under_way() -> LibraryScan | None:
    return LibraryScan.objects.filter(state__in=LibraryScan.OPEN).first()


def hand_out(scan: LibraryScan) -> None:
    enqueue(TASK, scan.pk, group="library", timeout_s=TIMEOUT_S)


def carry_out(*, scan_id: int, now: datetime, tell: Tell = lambda folder, files: None) -> bool:
    """Does a scan that nobody does; False when somebody does, or it is over. `tell` hears the folder and the files so far."""
    lease = claim(
        LibraryScan.objects.filter(state__in=LibraryScan.OPEN),
        scan_id,
        now,
        state=State.LISTING,
        started_at=Coalesce("started_at", now),
        files=0,
        size=0,
        folder="",
    )
    if lease is None:
        return False
    try:
        _list(lease, tell)
        crash_point("scan.listed")
        _sort(lease)
    except LeaseLost:
        return False
    except shelves.LibraryAway as error:
        if lease.is_last_try:
            _fail(lease, str(error))
        else:
            lease.rest(timezone.now(), error_text=str(error))
    except shelves.LibraryRefuses as error:
        _fail(lease, str(error))
    return True


def give_up(*, scan: LibraryScan, now: datetime) -> None:
    """Ends a scan whose every try died."""
    lease = claim(LibraryScan.objects.filter(state__in=LibraryScan.OPEN), scan.pk, now)
    if lease is not None:
        _fail(lease, scan.error_text or "Every process that tried it died.")


def _list(lease: Lease[LibraryScan], tell: Tell) -> None:
    scan, files, size = lease.row.pk, 0, 0
    batch: dict[str, tuple[int, Judged]] = {}
    with shelves.opened() as shelf:
        for folder, path, length, judged in _seen(shelf):
            files, size = files + 1, size + length
            batch[path] = length, judged
            if len(batch) >= BATCH:
                _note(lease, scan, batch, {"files": files, "size": size, "folder": folder[:255]})
                tell(folder, files)
                batch = {}
            lease.tick(dict)
    _note(lease, scan, batch, {"files": files, "size": size, "folder": "", "error_text": ""})
    tell("", files)
    if not files and LibraryFile.objects.filter(missing_since=None, console__isnull=False).exists():
        raise shelves.LibraryRefuses("The library is empty and was not before, so nothing was changed.")


def _seen(shelf: shelves.Shelf) -> Iterator[tuple[str, str, int, Judged]]:
    """Every file of a console with its folder, size and judgement; a folder of no console as one thing."""
    extensions = _extensions()
    folders, files = shelf.top()
    for name in map(_storable, sorted(files)):
        if not filenames.is_hidden(name):
            yield "", name, 0, filenames.judge(name, 0, extensions)
    for folder in sorted(folders):
        if filenames.is_hidden(folder) or folder in OURS:
            continue
        if not filenames.console_of(folder, extensions):
            yield (
                _storable(folder),
                _storable(f"{folder}/"),
                0,
                Judged("", Named("", ""), Finding.UNKNOWN_FOLDER),
            )
            continue
        for found in shelf.files(folder):
            if not filenames.is_hidden(found.path):
                path = _storable(found.path)
                yield folder, path, found.size, filenames.judge(path, found.size, extensions)


def _extensions() -> Mapping[str, frozenset[str]]:
    """Of every console there is; one that is not configured has none."""
    rows = Console.objects.values_list("slug", "config__supported_file_extensions")
    return {slug: frozenset(extensions or ()) for slug, extensions in rows}


def _storable(path: str) -> str:
    """A path as the database takes it: what is no text is written out, which makes it a name no game may have."""
    plain = path.encode("utf-8", "backslashreplace").replace(b"\x00", b"\\x00")
    return plain[: filenames.MAX_BYTES].decode("utf-8", "ignore")


def _note(
    lease: Lease[LibraryScan], scan: int, batch: Mapping[str, tuple[int, Judged]], progress: dict[str, Any]
) -> None:
    judged = [one for _, one in batch.values()]
    with transaction.atomic():
        lease.keep(**progress)
        _run(
            statements.SEEN,
            scan=scan,
            paths=list(batch),
            sizes=[size for size, _ in batch.values()],
            consoles=[one.console for one in judged],
            titles=[one.named.title for one in judged],
            game_ids=[one.named.game_id for one in judged],
            ranks=[one.named.rank for one in judged],
            findings=[str(one.finding) for one in judged],
        )


def _sort(lease: Lease[LibraryScan]) -> None:
    lease.keep(state=State.SORTING)
    _run(statements.MEASURE)
    scan, now = lease.row.pk, timezone.now()
    with transaction.atomic(), about(actor=ACTOR):
        lease.keep()  # holds the row: whoever takes it over waits for what is done here
        _run(statements.IGNORE_NOTHING)
        vanished = _run(statements.VANISHED, scan=scan, now=now)
        _run(statements.NEVER_SEEN, scan=scan, now=now)
        found = {
            "linked": _run(statements.LINKED),
            "made": _run(statements.MADE),
            "vanished": vanished,
        }
        _run(statements.MEASURE)
        _run(statements.DUPLICATES)
        _run(statements.FORGOTTEN)
        findings = dict(_rows(statements.FINDINGS))
        found["missing"] = _rows(statements.MISSING)[0][0]
        lease.end(state=State.DONE, ended_at=now, findings=findings, **found)
        told = {"scan": scan, **found, "findings": findings}
        record(Happening(now, ACTOR, "library_scanned", RESOURCE, SUBJECT, told))


def _fail(lease: Lease[LibraryScan], text: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        lease.end(state=State.FAILED, ended_at=now, error_text=text[:500])
        told = {"scan": lease.row.pk, "error": text}
        record(Happening(now, ACTOR, "library_scan_failed", RESOURCE, SUBJECT, told))


def _run(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return int(cursor.rowcount)


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
