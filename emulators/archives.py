"""Archives of saves: gzip-compressed tar files of a slot's folder, as machines and players send them. Believed in nothing.

Files and folders only, under relative names. The digest is of the content and not of the packed bytes: SHA-256 over one line
`<sha256 of the file> <its size> <its name>\\n` for every file, in the order of the names' bytes. Folders, times and rights do
not count. A name is bytes to the machine: one that is no UTF-8 is read with Python's surrogates and written back so.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gamer.errors import TooLarge, ValidationError, bad_field

MIB = 1024 * 1024
MAX_PACKED = 64 * MIB
MAX_UNPACKED = 256 * MIB
MAX_ENTRIES = 4096
MAX_PART, MAX_NAME = 255, 4095  # bytes of one part of a name, and of all of it, as file systems have it

_CHUNK = 256 * 1024
# A tar's own share: a head, a long name and padding for every entry, and the end.
_MAX_TAR = MAX_UNPACKED + MAX_ENTRIES * 8192 + 64 * 1024
_MOST_HEADS = 8  # of one member: a long name, a long link, a pax header
_MAX_HEAD = 64 * 1024  # of what says a long name; tarfile reads it whole
_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE)
# What may come before a member and says more of it; the last one of all that follow.
_HEADS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)


@dataclass(frozen=True, slots=True)
class File:
    """One file of an archive. `name` has / between its parts; `sha256` is hexadecimal."""

    name: str
    size: int
    sha256: str


def digest_of(packed: bytes) -> str:
    """The digest of an archive's content, read whole in bounded memory. Raises ValidationError, or TooLarge past a bound."""
    return digest_of_files(files_in(packed))


def digest_of_files(files: Iterable[File]) -> str:
    whole = hashlib.sha256()
    for name, one in sorted((_bytes(one.name), one) for one in files):
        whole.update(f"{one.sha256} {one.size} ".encode() + name + b"\n")
    return whole.hexdigest()


def files_in(packed: bytes) -> list[File]:
    """The files of an archive. Raises ValidationError, or TooLarge past a bound."""
    if len(packed) > MAX_PACKED:
        raise _too_large(MAX_PACKED, "")
    files: list[File] = []
    seen: dict[str, bool] = {}
    unpacked = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as raw:
            source = _Bounded(raw)
            for member, tar in _members(source):
                name = _checked(member.name, member.isdir())
                _place(name, member.isdir(), seen)
                if not member.isdir():
                    unpacked += member.size
                    if unpacked > MAX_UNPACKED:
                        raise _too_large(MAX_UNPACKED, " unpacked")
                    files.append(File(name, member.size, _sha256(tar, member)))
            source.drain()
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise _refused("it is no gzip-compressed tar file, or a broken one") from error
    return files


class _Bounded(io.RawIOBase):
    """Reads no more than an archive within the bounds can hold, whatever it unpacks to."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self.source, self.left = source, _MAX_TAR

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = self.source.read(size if 0 <= size <= self.left else self.left + 1)
        self.left -= len(found)
        if self.left < 0:
            raise _too_large(MAX_UNPACKED, " unpacked")
        return found

    def drain(self) -> None:
        """To the end, where gzip checks its sum."""
        while self.read(_CHUNK):
            pass


class _Member(tarfile.TarInfo):
    """Refused by its header: of the map of a sparse file, tarfile builds lists many times as large as the archive."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _KINDS:
            tar.heads = 0  # type: ignore[attr-defined]
        elif self.type in _HEADS:
            self._check_head(tar)
        else:
            raise _neither(self)
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]

    def _check_head(self, tar: tarfile.TarFile) -> None:
        if self.size > _MAX_HEAD:
            raise _refused("a name or its like is too long")
        # Of those before one member, of which tarfile reads each inside the one before.
        tar.heads = getattr(tar, "heads", 0) + 1  # type: ignore[attr-defined]
        if tar.heads > _MOST_HEADS:  # type: ignore[attr-defined]
            raise _refused("a member has too many headers")
        if self.type == tarfile.XGLTYPE:
            if getattr(tar, "has_global", False):  # tarfile keeps them all, and copies them into every member
                raise _refused("it has more than one global header")
            tar.has_global = True  # type: ignore[attr-defined]

    def _refuse_sparse(self, member: tarfile.TarInfo, *_: object) -> None:
        raise _neither(member)

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def _members(source: _Bounded) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    with tarfile.open(
        fileobj=source, mode="r|", tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for count, member in enumerate(tar, start=1):
            if count > 2 * MAX_ENTRIES:  # folders may be named again, but not for ever
                raise _too_many()
            tar.members.clear()  # type: ignore[attr-defined]  # it keeps every one
            yield member, tar


def _checked(name: str, is_folder: bool) -> str:
    """The name in its one spelling; the folder itself is "."."""
    trimmed = name.removeprefix("./").rstrip("/")
    if trimmed in ("", ".") and is_folder and not name.startswith("/"):
        return "."
    parts = [_bytes(part) for part in trimmed.split("/")]
    if any(part in (b"", b".", b"..") for part in parts):
        raise _refused(f"the name {_shown(name)} leads out of its folder")
    if "\x00" in trimmed:
        raise _refused(f"the name {_shown(name)} holds a NUL character")
    if max(map(len, parts)) > MAX_PART or sum(map(len, parts)) + len(parts) - 1 > MAX_NAME:
        raise _refused(f"the name {_shown(name)} is too long")
    return trimmed


def _place(name: str, is_folder: bool, seen: dict[str, bool]) -> None:
    """No name twice, and nothing beneath a file. Folders may be named again, and need not be named at all."""
    known = seen.setdefault(name, is_folder) if is_folder or name not in seen else None
    if known is not is_folder:
        raise _refused(f"{_shown(name)} is in it twice")
    above = name.rpartition("/")[0]
    while above:
        if not seen.setdefault(above, True):
            raise _refused(f"{_shown(above)} is a file and a folder")
        above = above.rpartition("/")[0]
    if len(seen) > MAX_ENTRIES:
        raise _too_many()


def _sha256(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = tar.extractfile(member)
    assert stream is not None
    found = hashlib.sha256()
    left = member.size
    while left and (part := stream.read(min(_CHUNK, left))):
        found.update(part)
        left -= len(part)
    if left:
        raise _refused(f"{_shown(member.name)} is cut off")
    return found.hexdigest()


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _shown(name: str) -> str:
    """A name that an answer can carry."""
    return ascii(name[:80])


def _refused(why: str) -> ValidationError:
    return bad_field("archive", f"{why}.")


def _neither(member: tarfile.TarInfo) -> ValidationError:
    return _refused(f"{_shown(member.name)} is neither a file nor a folder")


def _too_many() -> TooLarge:
    return TooLarge(f"The archive is refused: it holds more than {MAX_ENTRIES} files and folders.")


def _too_large(bound: int, how: str) -> TooLarge:
    return TooLarge(f"The archive is refused: it is larger than {bound // MIB} MiB{how}.")
