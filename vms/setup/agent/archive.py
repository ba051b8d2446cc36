"""A folder of saves as one archive, and back. The same files give the same digest, whoever packed them when.

The digest is SHA-256 over a line per file in the order of their names, `<sha256 of the file> <size> <name>`: not of the archive's bytes,
which differ between versions of zlib. Only regular files and folders are packed, and nothing else is unpacked.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

MAX_PACKED, MAX_UNPACKED, MAX_ENTRIES = 64 * 1024 * 1024, 256 * 1024 * 1024, 4096
EMPTY = hashlib.sha256().hexdigest()
_MEMBERS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE)
# What may come before one and says more of it: a long name, a pax header.
_HEADS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)
_MAX_HEAD, _MOST_HEADS = 64 * 1024, 8  # tarfile reads each whole, inside the one before
# What opening a file says that went since it was seen, or something else took its place.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
# What an archive is to blame for: its names, or what gzip finds (no number). Anything else, no room say, is about this machine.
_OF_NAMES = (None, errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG)
PLAYER = 1000  # apps run as this user (Wolf's default)


class TooLarge(Exception):
    """The folder holds more than an archive may. The text says what of."""


class Changed(Exception):
    """The folder changed while it was read."""


class BadArchive(Exception):
    """Not an archive of ours, or not the expected one. The text says why."""


class _Member(tarfile.TarInfo):
    """Refused by its header: of the map of a sparse file, tarfile builds lists many times as large as the archive."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _MEMBERS:
            archive.heads = 0  # type: ignore[attr-defined]
        elif self.type in _HEADS:
            archive.heads = getattr(archive, "heads", 0) + 1  # type: ignore[attr-defined]
            if self.size > _MAX_HEAD or archive.heads > _MOST_HEADS:  # type: ignore[attr-defined]
                raise BadArchive("headers without end")
            if self.type == tarfile.XGLTYPE:
                if getattr(archive, "has_global", False):  # tarfile copies them all into every entry
                    raise BadArchive("more than one global header")
                archive.has_global = True  # type: ignore[attr-defined]
        else:
            raise BadArchive("neither a file nor a folder")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]

    def _refuse_sparse(self, *_: object) -> None:
        raise BadArchive("neither a file nor a folder")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def signature(folder: Path, leave: str = "") -> tuple[tuple[str, int, int, int], ...]:
    """What costs little to know of every entry: while it is the same, nothing was written. () when the folder is not there."""
    return tuple(
        (name, seen.st_size if stat.S_ISREG(seen.st_mode) else -1, seen.st_mtime_ns, seen.st_ino)
        for name, seen in _entries(folder, leave)
    )


def digest_of(folder: Path) -> str:
    """The digest of what the folder holds; EMPTY when it is not there. Raises TooLarge, and Changed when a file went meanwhile."""
    lines: dict[str, str] = {}
    left = MAX_UNPACKED
    for name, seen in _bounded(folder):
        if stat.S_ISREG(seen.st_mode):
            content = _read(folder, name, left)
            left -= len(content)
            lines[name] = _line(name, content)
    return _digest(lines)


def pack(folder: Path, target: Path, *, is_torn_fine: bool = False, leave: str = "") -> tuple[str, int]:
    """Write the folder's archive to `target`, on the disk when this returns. Its digest, and its size in bytes.

    Without what is below `leave`, which is taken for not there.
    Raises TooLarge; Changed when something was written meanwhile, unless a picture that is torn is better than none.
    """
    before = signature(folder, leave)
    entries = _bounded(folder, leave)
    lines: dict[str, str] = {}
    left = MAX_UNPACKED
    with target.open("wb") as raw:
        # No name and no time in gzip's own head: both would differ between two packings of the same.
        with gzip.GzipFile("", "wb", 6, raw, 0) as packed:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for name, seen in entries:
                    _bounded_size(raw.tell())
                    entry = tarfile.TarInfo(name)
                    entry.mtime = int(seen.st_mtime)
                    if stat.S_ISDIR(seen.st_mode):
                        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                        archive.addfile(entry)
                        continue
                    try:
                        content = _read(folder, name, left)
                    except Changed:
                        if is_torn_fine:
                            continue
                        raise
                    left -= len(content)
                    lines[name] = _line(name, content)
                    entry.size, entry.mode = len(content), 0o644
                    archive.addfile(entry, io.BytesIO(content))
        size = _bounded_size(raw.tell())
        raw.flush()
        os.fsync(raw.fileno())
    if signature(folder, leave) != before and not is_torn_fine:
        raise Changed(str(folder))
    return _digest(lines), size


def unpack(source: Path, folder: Path, digest: str) -> None:
    """Make the new folder `folder` of the archive, for games to write in. Raises BadArchive, OSError, leaving a part of it there."""
    folder.mkdir(mode=0o755)
    give(folder)
    lines: dict[str, str] = {}
    left = MAX_UNPACKED
    try:
        with tarfile.open(str(source), "r:gz", tarinfo=_Member) as archive:
            for count, entry in enumerate(archive):
                if count >= MAX_ENTRIES:
                    raise BadArchive("too many entries")
                content = _content(archive, entry, left)
                name = _safe(entry.name, content is None)
                place = folder / name
                if content is None:
                    _make(folder, name)
                else:
                    left -= len(content)
                    _make(folder, os.path.dirname(name))
                    # Exclusive: a name that comes twice, or a link that somebody put there, is no file of ours.
                    with place.open("xb") as file:
                        file.write(content)
                    lines[name] = _line(name, content)
                    give(place)
                with contextlib.suppress(OverflowError):  # a time that no file has
                    os.utime(str(place), (entry.mtime, entry.mtime))
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno not in _OF_NAMES:
            raise
        raise BadArchive(f"{type(error).__name__}: {error}") from error
    if _digest(lines) != digest:
        raise BadArchive("it holds something else than was said")


def _make(folder: Path, name: str) -> None:
    """A folder and those above it, which an archive need not name: games write in each of them."""
    place = folder
    for part in name.split("/") if name else ():
        place = place / part
        if not place.is_dir():
            place.mkdir(mode=0o755)
            give(place)


def give(place: Path) -> None:
    """To the user games run as; where that may not be done, whoever runs this keeps it."""
    with contextlib.suppress(PermissionError):
        os.chown(str(place), PLAYER, PLAYER)


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, left: int) -> bytes | None:
    """An entry's bytes, None for a folder."""
    if entry.isdir():
        return None
    if entry.size > left:
        raise BadArchive(f"more than {MAX_UNPACKED >> 20} MiB")
    file = archive.extractfile(entry)
    assert file is not None  # only links have none
    return file.read()


def _safe(name: str, is_folder: bool) -> str:
    """The name in its one spelling, as the control plane reads it: `./` before it says nothing; "" is the folder itself."""
    trimmed = (name[2:] if name.startswith("./") else name).rstrip("/")
    if trimmed in ("", ".") and is_folder and not name.startswith("/"):
        return ""
    if "\0" in name or any(part in ("", ".", "..") for part in trimmed.split("/")):
        raise BadArchive("a name that leads elsewhere")
    return trimmed


def _bounded(folder: Path, leave: str = "") -> list[tuple[str, os.stat_result]]:
    entries = list(_entries(folder, leave))
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(f"it has more than {MAX_ENTRIES} files and folders")
    # Before any is read: what is too much is looked at whenever its game writes.
    if sum(seen.st_size for _, seen in entries if stat.S_ISREG(seen.st_mode)) > MAX_UNPACKED:
        raise TooLarge(f"it has more than {MAX_UNPACKED >> 20} MiB")
    return entries


def _bounded_size(packed: int) -> int:
    if packed > MAX_PACKED:
        raise TooLarge(f"packed it has more than {MAX_PACKED >> 20} MiB")
    return packed


def _entries(folder: Path, leave: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Regular files and folders below it by their relative names, in the order of the names' bytes; links are not followed."""
    found: list[tuple[str, os.stat_result]] = []
    below = [""]
    while below and len(found) <= MAX_ENTRIES:
        part = below.pop()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(str(folder / part)):
                with contextlib.suppress(FileNotFoundError):
                    seen = entry.stat(follow_symlinks=False)
                    name = f"{part}{entry.name}"
                    if name == leave:
                        continue
                    if stat.S_ISDIR(seen.st_mode):
                        below.append(f"{name}/")
                    elif not stat.S_ISREG(seen.st_mode):
                        continue
                    found.append((name, seen))
    return iter(sorted(found, key=lambda one: _bytes(one[0])))


def _read(folder: Path, name: str, left: int) -> bytes:
    try:
        descriptor = os.open(str(folder / name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _GONE:
            raise Changed(name) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(left + 1)
    if len(content) > left:
        raise TooLarge(f"it has more than {MAX_UNPACKED >> 20} MiB")
    return content


def _line(name: str, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()} {len(content)} {name}\n"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _digest(lines: dict[str, str]) -> str:
    summed = hashlib.sha256()
    for name in sorted(lines, key=_bytes):
        summed.update(_bytes(lines[name]))
    return summed.hexdigest()
