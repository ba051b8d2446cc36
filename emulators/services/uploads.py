"""A game's file from staff's browser into the library: announced, received piece by piece, moved in the background.

The pieces lie in a folder of ours (GAMES_UPLOAD_DIR) until the whole is in the library; how far each step is stands in the row.
A piece or a move that comes twice changes nothing.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import unicodedata
from collections.abc import Callable
from datetime import datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.utils import timezone

from accounts.principal import Principal
from emulators import filenames, shelves
from emulators.models import EmulatorConfig, Game, GameUpload, LibraryFile, LibraryScan
from emulators.services.configs import RESOURCE, faults_of, invalid
from emulators.services.leases import TIMEOUT_S, Lease, LeaseLost, claim, free
from emulators.services.scanning import NO_LIBRARY
from events.services import Happening, record
from gamer.context import about
from gamer.crash import crash_point
from gamer.errors import Conflict, InvalidState, NotFound, Unavailable, bad_field
from gamer.queue.enqueue import enqueue

TASK = "emulators.tasks.move_upload"
ALONE = "game_upload_alone"  # the law of the database
MOST_MOVES = 2  # at once: each has a worker of the queue for as long as the library takes
MAX_NAME_BYTES = 200  # of what file systems take, with room for how we call it before it is whole
NOT_HERE = (
    "The upload is not in this host's folder: GAMES_UPLOAD_DIR must be one for all servers and workers."
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
State = GameUpload.State


def begin(
    *,
    by: Principal,
    console: str,
    filename: str,
    size: int,
    title: str = "",
    game_id: str = "",
    replaces: bool = False,
    now: datetime,
) -> GameUpload:
    """Announces a file. Title and id are those of its name where none are given.

    Raises ValidationError, InvalidState without a library, Conflict while the same file is on its way, Unavailable without a
    folder for what is received.
    """
    if not shelves.is_configured():
        raise InvalidState(NO_LIBRARY)
    config = EmulatorConfig.objects.filter(console=console).first()
    if config is None:
        raise bad_field("console", "It is not configured.")
    name = stored_name(filename)
    _check_kind(name, config)
    _check_size(size)
    named = filenames.named_after(posixpath.splitext(name)[0])
    upload = GameUpload(
        console_id=console,
        game_id=game_id or named.game_id,
        title=title or named.title,
        file=f"{console}/{name}",
        replaces=replaces,
        size=size,
        asked_by=by.label,
        asked_at=now,
        changed_at=now,
    )
    if faults := faults_of(_game_of(upload), "console", "preset", "gpu_class"):
        raise invalid(faults)
    _check_place(upload)
    try:
        with transaction.atomic():
            upload.save(force_insert=True)
            told = {"upload": str(upload.pk), "file": upload.file, "bytes": size}
            record(Happening(now, by.label, "upload_asked", RESOURCE, _label(upload), told))
    except IntegrityError as error:
        if ALONE not in str(error):
            raise
        raise Conflict(f"{upload.file} is being uploaded already.") from None
    return upload


def receive(*, upload_id: UUID, offset: int, piece: bytes, now: datetime) -> GameUpload:
    """Takes the piece that begins at `offset`; the answer says how much is there. One that came before changes nothing.

    Raises NotFound, InvalidState, ValidationError for a piece that does not fit, Conflict for one that comes too early,
    Unavailable where it cannot be kept.
    """
    upload = GameUpload.objects.filter(pk=upload_id).first()
    if upload is None:
        raise NotFound("There is no such upload.")
    end = offset + len(piece)
    if upload.state != State.RECEIVING:
        if _is_known(upload, end):
            return upload
        raise InvalidState(f"The upload is {upload.state}.")
    if offset > upload.received:
        raise Conflict(f"{upload.received} bytes are there, so the next piece begins there.")
    if end > upload.size:
        raise bad_field("piece", f"It ends at {end} of {upload.size} bytes.")
    if not piece or end <= upload.received:
        return upload
    _write(upload, offset, piece, is_last=end == upload.size)
    crash_point("upload.piece_written")
    with transaction.atomic():
        rows = GameUpload.objects.filter(pk=upload.pk, state=State.RECEIVING, received__lt=end)
        is_whole = end == upload.size
        changed = rows.update(
            received=end, changed_at=now, state=State.WAITING if is_whole else State.RECEIVING
        )
        if changed and is_whole:
            hand_out(upload)
    upload.refresh_from_db()
    return upload


def _is_known(upload: GameUpload, end: int) -> bool:
    """Whether a piece came before and its sender may ask again: the answer to the last one is lost like any other."""
    if upload.state == State.DONE:
        return end == upload.size
    return upload.state in (State.WAITING, State.MOVING) and end <= upload.received


def hand_out(upload: GameUpload) -> None:
    enqueue(TASK, str(upload.pk), group="library", timeout_s=TIMEOUT_S)


def cancel(*, upload: GameUpload, by: Principal, now: datetime) -> None:
    """Ends one that is not being moved yet. Raises InvalidState."""
    rows = GameUpload.objects.filter(pk=upload.pk, state__in=(State.RECEIVING, State.WAITING))
    with transaction.atomic():
        if not rows.update(state=State.FAILED, ended_at=now, error_text=f"Cancelled by {by.label}."[:500]):
            raise InvalidState("It is being moved, or over.")
        _tell_failed(upload, by.label, "cancelled", now)
    discard(upload)


def retry(*, upload: GameUpload, by: Principal, now: datetime) -> None:
    """Moves one again that failed after it was received. Raises InvalidState, Conflict."""
    if not staged(upload).exists():
        raise InvalidState("What was received is not there any more. Upload it again.")
    rows = GameUpload.objects.filter(pk=upload.pk, state=State.FAILED, received=F("size"))
    afresh: dict[str, Any] = {"tries": 0, "ended_at": None, "error_text": "", "lease_until": None, "moved": 0}
    try:
        with transaction.atomic():
            if not rows.update(state=State.WAITING, changed_at=now, **afresh):
                raise InvalidState("Only one that failed after it was received can be moved again.")
            told = {"upload": str(upload.pk), "file": upload.file, "bytes": upload.size}
            record(Happening(now, by.label, "upload_asked", RESOURCE, _label(upload), told))
            hand_out(upload)
    except IntegrityError as error:
        if ALONE not in str(error):
            raise
        raise Conflict(f"{upload.file} is being uploaded already.") from None


def move(*, upload_id: UUID, now: datetime) -> bool:
    """Puts a received file into the library and its game into the rows; False when somebody does, or it is over or has to wait."""
    others = GameUpload.objects.filter(state=State.MOVING, lease_token__isnull=False, lease_until__gte=now)
    # Counted without a lock: who claims at the same moment is one too many, and not one for ever.
    if others.exclude(pk=upload_id).count() >= MOST_MOVES:
        return False
    lease = claim(
        GameUpload.objects.filter(state__in=(State.WAITING, State.MOVING)),
        upload_id,
        now,
        state=State.MOVING,
        changed_at=now,
        moved=0,
    )
    if lease is None:
        return False
    is_ours = _move(lease)
    waits = free(GameUpload.objects.filter(state=State.WAITING), timezone.now())
    if upload := waits.order_by("asked_at").first():
        hand_out(upload)
    return is_ours


def _move(lease: Lease[GameUpload]) -> bool:
    try:
        _put(lease)
        crash_point("upload.moved")
        _finish(lease)
    except LeaseLost:
        return False
    except shelves.LibraryAway as error:
        if lease.is_last_try:
            _fail(lease, str(error))
        else:
            lease.rest(timezone.now(), error_text=str(error))
        return True
    except (shelves.LibraryRefuses, FileNotFoundError, Conflict) as error:
        _fail(lease, NOT_HERE if isinstance(error, FileNotFoundError) else str(error))
        return True
    discard(lease.row)
    return True


def give_up(*, upload: GameUpload, text: str, now: datetime) -> None:
    """Ends one that was abandoned by its sender, or whose every move died."""
    lease = claim(GameUpload.objects.filter(state__in=GameUpload.OPEN), upload.pk, now)
    if lease is not None:
        _fail(lease, text)


def staged(upload: GameUpload) -> Path:
    """Where its pieces are."""
    return Path(settings.GAMES_UPLOAD_DIR) / f"{upload.pk}.part"


def discard(upload: GameUpload) -> None:
    staged(upload).unlink(missing_ok=True)


def stored_name(filename: str) -> str:
    """The last part of a name as browsers send it, as the library can have it: nothing hidden, no control characters, not too long."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", filename))[-1]
    plain = " ".join(_CONTROL.sub(" ", last).split()).lstrip(". ")
    stem, extension = posixpath.splitext(plain)
    room = MAX_NAME_BYTES - len(extension.encode())
    return stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore").rstrip() + extension.lower()


def _check_kind(name: str, config: EmulatorConfig) -> None:
    known = config.supported_file_extensions
    if posixpath.splitext(name)[1] not in known:
        kinds = ", ".join(known) or "none yet"
        raise bad_field("file", f"{name!r} is no game file of {config.console}; those are {kinds}.")


def _check_size(size: int) -> None:
    most = settings.GAMES_UPLOAD_MAX_BYTES
    if size < 1:
        raise bad_field("file", "It is empty.")
    if size > most:
        raise bad_field("file", f"It is larger than {most // 1024**3} GiB (GAMES_UPLOAD_MAX_GB).")
    folder = Path(settings.GAMES_UPLOAD_DIR)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unkept(error) from error
    rest = GameUpload.objects.filter(state=State.RECEIVING).aggregate(rest=Sum(F("size") - F("received")))
    if free - (rest["rest"] or 0) < size:
        raise bad_field("file", "There is no room for it where uploads are kept (GAMES_UPLOAD_DIR).")


def _check_place(upload: GameUpload) -> None:
    """Nothing that is there is overwritten, and no game gets another file, unless that was asked."""
    if upload.replaces:
        return
    if LibraryFile.objects.filter(path=upload.file, missing_since=None).exists():
        raise bad_field("file", f"The library has {upload.file}. Say so if it is to be replaced.")
    game = Game.objects.filter(console=upload.console_id, game_id=upload.game_id).first()
    if game is None or game.file in ("", upload.file):
        return
    if LibraryFile.objects.filter(path=game.file, missing_since=None).exists():
        raise bad_field(
            "game_id",
            f"{game} has the file {game.file}. Say so if it is to be replaced, or give another id.",
        )


def _write(upload: GameUpload, offset: int, piece: bytes, *, is_last: bool) -> None:
    """Raises Unavailable where it cannot be written, or an earlier piece went to another host's folder."""
    create = os.O_CREAT if offset == 0 else 0
    try:
        handle = os.open(staged(upload), os.O_WRONLY | create, 0o600)
        try:
            rest = memoryview(piece)
            while rest:  # a disk that fills up takes a part, and says why at the next
                written = os.pwrite(handle, rest, offset)
                rest, offset = rest[written:], offset + written
            if is_last:
                os.fsync(handle)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise Unavailable(NOT_HERE) from None
    except OSError as error:
        raise _unkept(error) from error


def _unkept(error: OSError) -> Unavailable:
    return Unavailable(
        f"Nothing can be kept where uploads are received (GAMES_UPLOAD_DIR): {error.strerror}."
    )


class _Watched(BufferedReader):
    """A file that says how far it has been read, from whichever thread reads it."""

    def __init__(self, path: Path, seen: Callable[[int], None]) -> None:
        super().__init__(FileIO(path, "rb"), buffer_size=1024 * 1024)
        self._seen = seen

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._seen(self.tell())
        return found


def _put(lease: Lease[GameUpload]) -> None:
    upload = lease.row
    kept = staged(upload).stat().st_size
    if kept != upload.size:
        raise Conflict(f"{kept} of {upload.size} bytes are where uploads are received. Upload it again.")
    with shelves.opened(to_write=True) as shelf:
        if upload.started_at is None:
            if not upload.replaces and shelf.has(upload.file):
                raise Conflict(f"The library has {upload.file} already. Upload it again to replace it.")
            # From here on what is there may be ours, and is written again.
            lease.keep(started_at=timezone.now())
        with _Watched(staged(upload), lambda at: lease.tick(lambda: {"moved": at})) as content:
            shelf.put(upload.file, content, upload.size)


def _finish(lease: Lease[GameUpload]) -> None:
    upload, now = lease.row, timezone.now()
    with transaction.atomic(), about(actor=upload.asked_by):
        lease.end(state=State.DONE, moved=upload.size, ended_at=now, changed_at=now, error_text="")
        game = (
            Game.objects.select_for_update().filter(console=upload.console_id, game_id=upload.game_id).first()
        )
        if game is None:
            game = _game_of(upload)
        game.file = upload.file
        game.save()
        # A scan that is under way has passed it or not: by its number it does not take it for gone.
        latest = LibraryScan.objects.order_by("-pk").values_list("pk", flat=True).first()
        found = {
            "console_id": upload.console_id,
            "size": upload.size,
            "title": upload.title,
            "game_id": upload.game_id,
            "finding": "",
            "scan": latest,
            "given_to": game,
            "missing_since": None,
        }
        LibraryFile.objects.update_or_create(path=upload.file, defaults=found)
        told = {"upload": str(upload.pk), "file": upload.file, "bytes": upload.size}
        record(Happening(now, upload.asked_by, "uploaded", RESOURCE, _label(upload), told))


def _fail(lease: Lease[GameUpload], text: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        lease.end(state=State.FAILED, ended_at=now, error_text=text[:500])
        _tell_failed(lease.row, lease.row.asked_by, text, now)


def _tell_failed(upload: GameUpload, actor: str, text: str, now: datetime) -> None:
    told = {"upload": str(upload.pk), "file": upload.file, "error": text}
    record(Happening(now, actor, "upload_failed", RESOURCE, _label(upload), told))


def _game_of(upload: GameUpload) -> Game:
    return Game(console_id=upload.console_id, game_id=upload.game_id, title=upload.title, file=upload.file)


def _label(upload: GameUpload) -> str:
    return f"game:{upload.console_id}/{upload.game_id}"[:64]


def staged_ids() -> set[str]:
    """Of whatever lies in the folder, be it an upload's or not."""
    return {path.stem for path in Path(settings.GAMES_UPLOAD_DIR).glob("*.part")}


def sweep_staged(ids: set[str]) -> None:
    for name in ids:
        (Path(settings.GAMES_UPLOAD_DIR) / f"{name}.part").unlink(missing_ok=True)
