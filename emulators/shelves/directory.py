"""A directory of this host, made when it is not there: for development, and for a library that machines reach another way."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from emulators.shelves.base import Shelf, StoredFile, part_of
from gamer.crash import crash_point
from stores.addresses import Address

FINAL = frozenset({errno.EISDIR, errno.EROFS, errno.ENOSPC})
FINAL_KINDS = (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


class Directory(Shelf):
    trouble = (OSError,)

    def top(self) -> tuple[list[str], list[str]]:
        with self._asked():
            Path(self.storage.location).mkdir(parents=True, exist_ok=True)
        return super().top()

    def _files(self, folder: str) -> Iterator[StoredFile]:
        root = str(self.storage.location)
        waiting = [os.path.join(root, folder)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        try:
                            size = entry.stat().st_size
                        except FileNotFoundError:
                            continue  # it went meanwhile: a part that is whole now
                        yield StoredFile(os.path.relpath(entry.path, root), size)

    def _put(self, path: str, content: File[bytes]) -> None:
        part = part_of(path)
        self.storage.save(part, content)
        crash_point("shelf.part_written")
        os.replace(self.storage.path(part), self.storage.path(path))

    def _reading(self, error: Exception) -> tuple[bool, str]:
        return reading(error)


def reading(error: Exception) -> tuple[bool, str]:
    """An error of a file system, or of one far away."""
    number = error.errno if isinstance(error, OSError) else None
    words = os.strerror(number).lower() if number is not None else type(error).__name__
    return number in FINAL or isinstance(error, FINAL_KINDS), words


def open_shelf(address: Address, google_credentials: str) -> Shelf:
    if address.host or not address.path:
        raise ValueError("a directory's address is file:///folder")
    return Directory(FileSystemStorage(location=f"/{address.path}", allow_overwrite=True))
