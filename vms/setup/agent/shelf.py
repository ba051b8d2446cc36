"""What the agent keeps on disk about saves, so that nothing is forgotten whoever dies when:

slots/<slot>.json               what the slot's folder was last known to be: the number and digest of a stored version
incoming/<digest>.tgz           a version that was brought here, to be put in place at a launch
outgoing/<slot>-<digest>.json   what is not stored yet, with its archive beside it
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .archive import EMPTY
from .files import make_private, read_json, write_json

MAX_SENT = 64


@dataclass(frozen=True)
class Slot:
    """A slot's folder: `base` and `digest` are of the version it began with, or that was stored of it last, 0 and EMPTY for none.

    `is_current` False: that version stands beside the slot's newest. `sent` are the digests packed of the folder since, oldest first.
    `session_id` is the last session it was put in place for, `error` why it cannot be packed.
    """

    slot: str
    folder: str
    base: int = 0
    digest: str = EMPTY
    is_current: bool = True
    sent: list[str] = field(default_factory=list)
    session_id: str = ""
    error: str = ""


@dataclass(frozen=True)
class Version:
    """A picture of a slot's folder that is not stored yet; `base` is what it came from. Refused: it is not pushed again, only fetched."""

    slot: str
    session_id: str
    base: int
    digest: str
    size: int
    at: str
    played_s: float
    is_refused: bool = False


class Shelf:
    """Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self._slots, self._incoming, self._outgoing = (
            folder / name for name in ("slots", "incoming", "outgoing")
        )
        for each in (folder, self._slots, self._incoming, self._outgoing):
            make_private(each)
        self._sweep()

    def slot(self, slot: str) -> Slot | None:
        known: Slot | None = _made(Slot, read_json(self._slots / f"{slot}.json"))
        return known

    def slots(self) -> list[Slot]:
        found = (_made(Slot, read_json(path)) for path in sorted(self._slots.glob("*.json")))
        return [one for one in found if one is not None]

    def keep(self, slot: Slot) -> None:
        write_json(self._slots / f"{slot.slot}.json", asdict(replace(slot, sent=slot.sent[-MAX_SENT:])))

    def arrived(self, digest: str) -> Path:
        """Where a version is, or would be, that was brought here."""
        return self._incoming / f"{digest}.tgz"

    def clear_arrived(self) -> None:
        for path in self._incoming.iterdir():
            path.unlink()

    def waiting(self, slot: str = "*") -> list[Version]:
        """What is not stored yet, of one slot or of all, oldest first."""
        found = (_made(Version, read_json(path)) for path in self._outgoing.glob(f"{slot}-*.json"))
        return sorted((one for one in found if one is not None), key=lambda one: one.at)

    def archive_of(self, slot: str, digest: str) -> Path:
        return self._outgoing / f"{slot}-{digest}.tgz"

    def describe(self, version: Version) -> None:
        """Its archive is there already; from here on it waits to be stored."""
        write_json(self._described(version), asdict(version))

    def drop(self, version: Version) -> None:
        """Its description first: an archive that nobody describes is swept."""
        for path in (self._described(version), self.archive_of(version.slot, version.digest)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    @contextlib.contextmanager
    def part(self, slot: str) -> Iterator[Path]:
        """Where an archive is written before it has its name."""
        path = self._outgoing / f"{slot}.part"
        try:
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _described(self, version: Version) -> Path:
        return self.archive_of(version.slot, version.digest).with_suffix(".json")

    def _sweep(self) -> None:
        """After a death: what was being written, or is described by nobody."""
        for path in self._outgoing.iterdir():
            is_described = path.suffix == ".json" or path.with_suffix(".json").exists()
            if path.suffix == ".part" or not is_described:
                path.unlink()
        for path in self._incoming.glob("*.part"):
            os.unlink(str(path))


def _made(kind: Any, stored: dict[str, Any] | None) -> Any:
    """Read back from disk; None when the file is not one of ours."""
    names = {each.name for each in fields(kind)}
    try:
        return None if stored is None else kind(**{one: stored[one] for one in names & set(stored)})
    except TypeError:
        return None
