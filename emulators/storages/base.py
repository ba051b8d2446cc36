"""What every place for archives can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from gamer.errors import Unavailable
from stores.addresses import parse

PACKED = "application/gzip"
LINK_S = 300  # how long a link is good
OPENS = {
    "file": "emulators.storages.directory.open_place",
    "s3": "emulators.storages.s3.open_place",
    "gs": "emulators.storages.google.open_place",
}


class SaveUnavailable(Unavailable):
    """The storage of saves does not answer, or not as it should. The next move: again, later."""


@dataclass(frozen=True, slots=True)
class Place:
    """A storage of Django's, with what it can fail with, and how it is asked for a link (None: it has none)."""

    storage: Storage
    trouble: tuple[type[Exception], ...]
    link_parameters: Callable[[str], Mapping[str, str]] | None = None

    def put(self, name: str, content: bytes) -> None:
        """Writes an archive; writing the same again changes nothing. Raises SaveUnavailable."""
        with self._asked():
            self.storage.save(name, ContentFile(content))

    def get(self, name: str) -> bytes:
        """Raises SaveUnavailable, also for what should be there and is not."""
        with self._asked(), self.storage.open(name, "rb") as file:
            return bytes(file.read())

    def delete(self, name: str) -> None:
        """Deletes an archive; one that is gone is no error. Raises SaveUnavailable."""
        with self._asked():
            self.storage.delete(name)

    def link(self, name: str, *, filename: str) -> str:
        """An address that gives the archive to whoever has it, for `LINK_S` seconds; "" where only we can read. Asks nobody."""
        if self.link_parameters is None:
            return ""
        signed: Any = self.storage
        shown = self.link_parameters(f'attachment; filename="{filename}"')
        return str(signed.url(name, parameters=dict(shown)))

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Of an error only its kind is told: its text may name what is not everybody's."""
        try:
            yield
        except self.trouble as error:
            raise SaveUnavailable(
                f"The storage of saves does not answer ({type(error).__name__})."
            ) from error


def open_place() -> Place:
    """The place of the settings. Raises ValueError for an address that cannot be used, in words that hold no secret."""
    return _opened(settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS)


@lru_cache(maxsize=4)
def _opened(url: str, google_credentials: str) -> Place:
    address = parse(url)
    if address.scheme not in OPENS:
        raise ValueError("it is file:///folder, s3://key:secret@endpoint/bucket or gs://bucket")
    place: Place = import_string(OPENS[address.scheme])(address, google_credentials)
    return place
