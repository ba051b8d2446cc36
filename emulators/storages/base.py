"""What every place for archives can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from gamer.errors import Unavailable
from stores.addresses import parse

PACKED = "application/gzip"
LINK_S = 300  # how long a link is good
MODULES = {"file": "directory", "s3": "s3", "gs": "google"}


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
            content: bytes = file.read()
            return content

    def file(self, name: str) -> IO[bytes]:
        """Opens an archive that only we can read. Raises SaveUnavailable."""
        with self._asked():
            return self.storage.open(name, "rb")

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
    """The place of the settings. Raises SaveUnavailable when its address cannot be used."""
    try:
        return _opened(settings.SAVES_URL, settings.SAVES_GOOGLE_CREDENTIALS)
    except ValueError as error:
        raise SaveUnavailable(f"The storage of saves cannot be opened: {error}.") from error


def check(url: str, google_credentials: str) -> None:
    """Looks at an address without opening anything. Raises ValueError, in words that hold no secret."""
    address = parse(url)
    match address.scheme:
        case "file" if address.path and not address.host:
            return
        case "s3" if address.host and address.path and address.user and address.password:
            return
        case "gs" if address.host and google_credentials:
            return
        case "gs" if address.host:
            raise ValueError("gs:// wants a service account's key in SAVES_GOOGLE_CREDENTIALS")
    raise ValueError("it is file:///folder, s3://key:secret@endpoint/bucket or gs://bucket")


@lru_cache(maxsize=4)
def _opened(url: str, google_credentials: str) -> Place:
    check(url, google_credentials)
    address = parse(url)
    open_it = import_string(f"emulators.storages.{MODULES[address.scheme]}.open_place")
    place: Place = open_it(address, google_credentials)
    return place
