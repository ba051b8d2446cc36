"""What every place for games can do: list what is there with its sizes, and take a file whole or not at all."""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from stores.addresses import parse

OPENS = {
    "file": "emulators.shelves.directory.open_shelf",
    "s3": "emulators.shelves.s3.open_shelf",
    "gs": "emulators.shelves.google.open_shelf",
    "sftp": "emulators.shelves.sftp.open_shelf",
}


class LibraryError(Exception):
    """The text is for staff, and holds no secret."""


class LibraryAway(LibraryError):
    """The library does not answer, or not as it should. The next move: again, later."""


class LibraryRefuses(LibraryError):
    """It answers, and will answer the same again: a wrong login, no such place, no right to write, no room."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`path` is within the library, `size` in bytes."""

    path: str
    size: int


class Shelf(ABC):
    """A storage of Django's that can also be walked. `trouble` is what it can fail with."""

    trouble: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, storage: Storage) -> None:
        self.storage: Any = storage

    def top(self) -> tuple[list[str], list[str]]:
        """The folders and the files at its top. Raises LibraryError."""
        with self._asked():
            folders, files = self.storage.listdir("")
            return list(folders), list(files)

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Every file below a folder, one by one, however many there are. Raises LibraryError."""
        with self._asked():
            yield from self._files(folder)

    def has(self, path: str) -> bool:
        """Raises LibraryError."""
        with self._asked():
            return bool(self.storage.exists(path))

    def put(self, path: str, content: IO[bytes], size: int) -> None:
        """Writes a file; what was there before stays until all of the new one is. Writing the same again changes nothing.

        Raises LibraryError.
        """
        file = _Sized(content, path)
        file.size = size
        with self._asked():
            self._put(path, file)

    def close(self) -> None:  # noqa: B027  only some have something to close
        """Most have nothing open."""

    @abstractmethod
    def _files(self, folder: str) -> Iterator[StoredFile]: ...

    def _put(self, path: str, content: File[bytes]) -> None:
        """Where an object appears when it is complete."""
        self.storage.save(path, content)

    @abstractmethod
    def _reading(self, error: Exception) -> tuple[bool, str]:
        """Of an error: whether it will be the same next time, and what it is in words that hold no secret."""

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise LibraryRefuses("The name of a file in the library is not UTF-8.") from error
        except self.trouble as error:
            is_final, words = self._reading(error)
            if is_final:
                raise LibraryRefuses(f"The library refuses: {words}.") from error
            raise LibraryAway(f"The library does not answer as it should: {words}.") from error


class _Sized(File):  # type: ignore[type-arg]
    """A file that says how large it is, whatever it is made of."""

    size = 0


def part_of(path: str) -> str:
    """Where a file is written before it is whole: hidden, so that no scan takes it for one."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.part")


def is_configured() -> bool:
    return bool(settings.GAMES_URL)


@contextmanager
def opened(*, to_write: bool = False) -> Iterator[Shelf]:
    """The library of the settings; with `to_write` by the login that may. Raises LibraryRefuses for an unusable address."""
    url, login = settings.GAMES_URL, settings.GAMES_GOOGLE_CREDENTIALS
    if to_write and settings.GAMES_UPLOAD_URL:
        url, login = settings.GAMES_UPLOAD_URL, settings.GAMES_UPLOAD_GOOGLE_CREDENTIALS
    try:
        shelf = shelf_at(url, login)
    except ValueError as error:
        raise LibraryRefuses(f"The library's address cannot be used: {error}.") from None
    try:
        yield shelf
    finally:
        shelf.close()


def shelf_at(url: str, google_credentials: str = "") -> Shelf:
    """Asks nobody yet. Raises ValueError for an address that cannot be used, in words that hold no secret."""
    address = parse(url)
    if address.scheme not in OPENS:
        raise ValueError(
            "it is gs://bucket, s3://key:secret@endpoint/bucket, sftp://user@host/folder or file:///folder"
        )
    shelf: Shelf = import_string(OPENS[address.scheme])(address, google_credentials)
    return shelf
