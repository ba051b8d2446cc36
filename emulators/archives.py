"""Archives of saves: gzip-compressed tar files of a slot's folder, as machines and players send them. Believed in nothing.

Files and folders only, under relative names. The digest is of the content and not of the packed bytes: SHA-256 over one line
`<sha256 of the file> <its size> <its name>\\n` for every file, in the order of the names' UTF-8 bytes. Folders, times and rights
do not count.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MIB = 1024 * 1024
MAX_PACKED = 64 * MIB
MAX_UNPACKED = 256 * MIB
MAX_ENTRIES = 4096
MAX_NAME = 255  # bytes of one part of a name, as file systems have it
MAX_PATH = 1024
DIGEST = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)

_CHUNK = 256 * 1024
# A tar's own share: a head and padding for every entry and for its long name, and the end.
_MAX_TAR = MAX_UNPACKED + MAX_ENTRIES * 4096 + 64 * 1024


class BadArchive(Exception):
    """The archive is refused; the text says why."""


class TooBig(BadArchive):
    """It passes a bound."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of an archive. `name` has / between its parts."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds. `unpacked` is in bytes."""

    digest: str
    files: tuple[File, ...]
    unpacked: int


def inspect(packed: bytes) -> Contents:
    """Reads an archive whole, in bounded memory. Raises BadArchive, TooBig."""
    if len(packed) > MAX_PACKED:
        raise TooBig(f"it is larger than {MAX_PACKED // MIB} MiB")
    files: list[File] = []
    seen: dict[str, bool] = {}
    unpacked = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as raw:
            bounded = _Bounded(raw)
            for member, tar in _members(bounded):
                name = _checked_name(member.name)
                _check_place(name, member.isdir(), seen)
                if len(seen) > MAX_ENTRIES:
                    raise TooBig(f"it holds more than {MAX_ENTRIES} files and folders")
                if not member.isdir():
                    unpacked += member.size
                    if unpacked > MAX_UNPACKED:
                        raise TooBig(f"it is larger than {MAX_UNPACKED // MIB} MiB unpacked")
                    files.append(File(name, member.size, _sha256(tar, member)))
            bounded.drain()
    except (tarfile.TarError, OSError, EOFError, zlib.error, UnicodeError, ValueError) as error:
        raise BadArchive("it is no gzip-compressed tar file") from error
    return Contents(digest_of(files), tuple(files), unpacked)


def digest_of(files: Iterable[File]) -> str:
    """The digest of a content."""
    whole = hashlib.sha256()
    for one in sorted(files, key=lambda one: one.name.encode()):
        whole.update(f"{one.sha256} {one.size} {one.name}\n".encode())
    return whole.hexdigest()


class _Bounded(io.RawIOBase):
    """Reads no more than an archive within the bounds can hold, whatever it unpacks to."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self.source, self.left = source, _MAX_TAR

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = self.source.read(min(size, self.left + 1) if size >= 0 else self.left + 1)
        self.left -= len(found)
        if self.left < 0:
            raise TooBig(f"it is larger than {MAX_UNPACKED // MIB} MiB unpacked")
        return found

    def drain(self) -> None:
        """To the end, where gzip checks its sum."""
        while self.read(_CHUNK):
            pass


def _members(source: _Bounded) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    with tarfile.open(fileobj=source, mode="r|", errorlevel=2, encoding="utf-8", errors="strict") as tar:
        for member in tar:
            if member.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) or member.issparse():
                raise BadArchive(f"{member.name[:80]!r} is neither a file nor a folder")
            if member.size < 0 or (member.isdir() and member.size):
                raise BadArchive(f"{member.name[:80]!r} has a size that cannot be")
            yield member, tar


def _checked_name(name: str) -> str:
    """The name in its one spelling."""
    trimmed = name.removeprefix("./").rstrip("/") if name not in (".", "./") else "."
    parts = trimmed.split("/")
    if trimmed == ".":
        return trimmed
    if len(trimmed.encode()) > MAX_PATH or any(len(part.encode()) > MAX_NAME for part in parts):
        raise BadArchive(f"the name {trimmed[:80]!r}… is too long")
    if any(part in ("", ".", "..") for part in parts) or "\\" in trimmed:
        raise BadArchive(f"the name {trimmed[:80]!r} leads out of its folder")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in trimmed):
        raise BadArchive(f"the name {trimmed[:80]!r} holds a control character")
    return trimmed


def _check_place(name: str, is_folder: bool, seen: dict[str, bool]) -> None:
    """No name twice, and nothing beneath a file. A folder may be named again, and need not be named before its files."""
    known = seen.get(name)
    if known is not None and not (known and is_folder):
        raise BadArchive(f"{name[:80]!r} is in it twice")
    seen[name] = is_folder
    above = name.rpartition("/")[0]
    while above:
        if not seen.setdefault(above, True):
            raise BadArchive(f"{above[:80]!r} is a file and a folder")
        above = above.rpartition("/")[0]


def _sha256(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = tar.extractfile(member)
    assert stream is not None
    found = hashlib.sha256()
    left = member.size
    while left and (part := stream.read(min(_CHUNK, left))):
        found.update(part)
        left -= len(part)
    if left:
        raise BadArchive(f"{member.name[:80]!r} is cut off")
    return found.hexdigest()
