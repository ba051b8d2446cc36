"""The saves of games on this machine: put in place before a game, packed when it has changed them, kept until they are stored with us.

A slot's folder goes one way: from the version it began with, by each version that was stored of it. What was changed since and never
stored becomes a pending version before the folder is given any other content. Of one beginning only the newest picture is kept, so the
queue holds a version for each slot, and one more for each time that a slot went on elsewhere meanwhile. `shelf.py` is where all that lies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from . import archive
from .archive import EMPTY, BadArchive, Changed, TooLarge
from .session import BadOrder, legible, utc_now
from .shelf import Shelf, Slot, Version

# Beyond this the oldest pending versions go that are not the newest of their slot.
MAX_WAITING = 512 * 1024 * 1024
# A game that never stops writing is packed all the same after so many times the interval.
PATIENCE_TIMES = 4
MAX_WHY = 200
FLUSH_S = 10.0
# Where the recipes have emulators keep states: pictures of the whole console, which its own saves need not wait for.
STATES = "states"


class SaveMissing(Exception):
    """The version that the order begins with is not on this machine."""


class Saves:
    """All methods may be called from any thread. `wake` is set when a version waits to be stored.

    A folder is packed `quiet_s` after its last change, but not twice within `interval_s` while its game runs.
    """

    def __init__(
        self, folder: Path, root: Path, played_s: Callable[[str], float], *, quiet_s: float, interval_s: float
    ) -> None:
        self._root = root
        self._played_s = played_s
        self._quiet_s = quiet_s
        self._interval_s = interval_s
        self._lock = threading.RLock()
        self._shelf = Shelf(folder)
        self._looks: dict[str, Look] = {}
        # Why a slot could not be packed, where not even that could be written down: on a full disk, say.
        self._unwritten: dict[str, str] = {}
        self.wake = threading.Event()
        for slot in self._shelf.slots():
            # What is wrong with a folder is told when it is looked at; the other slots need this agent.
            with contextlib.suppress(OSError):
                _finish_swap(self._place(slot.folder))

    # -- before a game

    def lacks(self, save: dict[str, Any]) -> bool:
        """Whether the version that the order begins with has to be brought here first."""
        with self._lock:
            if self._goes_on(save) or save["digest"] == EMPTY or self._shelf.arrived(save["digest"]).exists():
                return False
            return bool(_digest_of(self._place(save["folder"])) != save["digest"])

    def put_in_place(self, save: dict[str, Any], session_id: str) -> None:
        """Make the slot's folder what the order begins with, unless it went on from there on this machine. No game may use it.

        Raises SaveMissing, BadOrder.
        """
        with self._lock:
            place = self._place(save["folder"])
            known = self._shelf.slot(save["slot"]) or Slot(save["slot"], save["folder"])
            _finish_swap(place)
            if not self._goes_on(save):
                if _digest_of(place) != save["digest"]:
                    of_whom = known.session_id or session_id
                    self._keep_changes(replace(known, folder=save["folder"], session_id=of_whom))
                    self._swap(place, save["digest"])
                known = Slot(save["slot"], save["folder"], save["base"], save["digest"])
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
            archive.give(place)
            self._shelf.keep(replace(known, session_id=session_id))
            self._shelf.clear_arrived()

    def _goes_on(self, save: dict[str, Any]) -> bool:
        """Whether what is here is the order's version or came from it. One that is older than what was stored from here is out of date."""
        known = self._shelf.slot(save["slot"])
        if known is None or known.folder != save["folder"]:
            return bool(save["base"] == 0)
        return bool(known.base == save["base"] or (known.is_current and known.base > save["base"]))

    def _keep_changes(self, known: Slot) -> None:
        try:
            self._pack_what_fits(known, is_torn_fine=True)
        except TooLarge as error:
            raise BadOrder(f"the save on this machine cannot be kept: {error}") from error

    def _swap(self, place: Path, digest: str) -> None:
        fresh, former = _beside(place)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        if digest == EMPTY:
            fresh.mkdir(mode=0o755)
        else:
            source = self._shelf.arrived(digest)
            try:
                archive.unpack(source, fresh, digest)
            except BadArchive as error:
                source.unlink()
                raise BadOrder(f"the save that was brought here: {error}") from error
            except OSError:
                # Its room is somebody else's until this is tried again.
                shutil.rmtree(str(fresh), ignore_errors=True)
                raise
        if place.exists():
            os.replace(str(place), str(former))
        os.replace(str(fresh), str(place))
        shutil.rmtree(str(former), ignore_errors=True)

    # -- while it runs, and after

    def look(self, active: str | None) -> float:
        """Pack what has changed and come to rest; `active` is the session whose game runs. In how many seconds to look again."""
        with self._lock:
            waits = [self._look_at(slot, active, time.monotonic()) for slot in self._shelf.slots()]
            self._trim()
        return min([self._interval_s, *waits])

    def flush(self) -> None:
        """Wait until nothing is written any more, some seconds at most, and pack what has changed."""
        deadline = time.monotonic() + FLUSH_S
        while True:
            with self._lock:
                now = time.monotonic()
                moments = [self._seen(slot, now).changed_at for slot in self._shelf.slots()]
            pause = min(max(moments, default=0.0) + self._quiet_s, deadline) - now
            if pause <= 0:
                break
            time.sleep(pause)
        with self._lock:
            for slot in self._shelf.slots():
                self._pack_or_say_why(slot, is_torn_fine=True)

    def _look_at(self, slot: Slot, active: str | None, now: float) -> float:
        """The seconds until this folder has to be looked at again."""
        look = self._seen(slot, now)
        if look.dirty_since is None:
            return self._interval_s
        rests_at = look.changed_at + self._quiet_s
        if slot.session_id == active:
            rests_at = max(rests_at, look.packed_at + self._interval_s)
        must_at = look.dirty_since + self._interval_s * PATIENCE_TIMES
        due_at = max(min(rests_at, must_at), look.again_at)
        if now < due_at:
            return due_at - now
        again_s = self._pack_or_say_why(slot, is_torn_fine=now >= must_at)
        if again_s is None:
            look.dirty_since, look.packed_at = None, now
            return self._quiet_s
        look.again_at = now + again_s
        return again_s

    def _seen(self, slot: Slot, now: float) -> Look:
        look = self._looks.setdefault(slot.slot, Look(now))
        place = self._place(slot.folder)
        seen: Any
        try:
            seen = archive.signature(place)
            if len(seen) > archive.MAX_ENTRIES:
                # It is not gone through to its end then: states, which are not packed either, would hide what changes.
                seen = archive.signature(place, STATES)
        except OSError as error:
            # A change as any other: packed once it rests, it says why it cannot be, and costs no other slot its look.
            seen = str(error)
        look.see(seen, now)
        return look

    def _pack_or_say_why(self, slot: Slot, *, is_torn_fine: bool) -> float | None:
        """In how many seconds to try again, None when it is done with.

        What cannot be packed is said in the slot's state, and costs no other slot anything.
        """
        again_s = None
        try:
            why = self._pack_what_fits(slot, is_torn_fine=is_torn_fine)
        except Changed:
            return self._quiet_s
        except TooLarge as error:
            why = str(error)
        except OSError as error:
            # No room, say: there may be some before the game writes again.
            why, again_s = str(error) or type(error).__name__, self._interval_s
        slot = self._shelf.slot(slot.slot) or slot
        self._unwritten.pop(slot.slot, None)
        if slot.error != why:
            try:
                self._shelf.keep(replace(slot, error=why))
            except OSError as error:
                sys.stderr.write(f"saves: {slot.slot}: {why or error}\n")
                self._unwritten[slot.slot] = why or str(error)
        return again_s

    def _pack_what_fits(self, slot: Slot, *, is_torn_fine: bool) -> str:
        """As `_pack`, but without the states where it is too much with them; then it says so."""
        try:
            self._pack(slot, is_torn_fine=is_torn_fine)
        except TooLarge as error:
            if not (self._place(slot.folder) / STATES).is_dir():
                raise
            self._pack(slot, is_torn_fine=is_torn_fine, leave=STATES)
            return f"kept without its states: {error}"
        return ""

    def _pack(self, slot: Slot, *, is_torn_fine: bool, leave: str = "") -> None:
        """A pending version of the folder, unless the newest one is like it. A folder that is not there is no save without files."""
        place = self._place(slot.folder)
        if not place.is_dir():
            return
        waiting = [one for one in self._shelf.waiting(slot.slot) if one.base == slot.base]
        with self._shelf.part(slot.slot) as part:
            digest, size = archive.pack(place, part, is_torn_fine=is_torn_fine, leave=leave)
            if digest == (waiting[-1].digest if waiting else slot.digest):
                return
            os.replace(str(part), str(self._shelf.archive_of(slot.slot, digest)))
        # First it is known to have come of this folder, then it may be stored, then what it replaces may go.
        if digest not in slot.sent:
            self._shelf.keep(replace(slot, sent=[*slot.sent, digest]))
        played_s = self._played_s(slot.session_id) if slot.session_id else 0.0
        self._shelf.describe(
            Version(slot.slot, slot.session_id, slot.base, digest, size, utc_now(), played_s)
        )
        for one in waiting:
            if one.digest != digest:
                self._shelf.drop(one)
        self.wake.set()

    def _trim(self) -> None:
        waiting = self._shelf.waiting()
        newest = {one.slot: one.digest for one in waiting}
        excess = sum(one.size for one in waiting) - MAX_WAITING
        for one in waiting:
            if excess > 0 and newest[one.slot] != one.digest:
                excess -= one.size
                self._shelf.drop(one)
                sys.stderr.write(f"saves: no room for an older version of {one.slot}\n")

    # -- until it is stored

    def pending(self) -> list[Version]:
        """What is not stored yet, oldest first."""
        with self._lock:
            return self._shelf.waiting()

    def view(self) -> list[dict[str, Any]]:
        """Each slot's {slot, session_id, base, digest, error}, with its pending versions as `pending`."""
        names = ("slot", "session_id", "base", "digest")
        with self._lock:
            return [
                {
                    **{name: getattr(slot, name) for name in names},
                    "error": self._unwritten.get(slot.slot, slot.error),
                    "pending": [asdict(one) for one in self._shelf.waiting(slot.slot)],
                }
                for slot in self._shelf.slots()
            ]

    def unpacked(self) -> list[dict[str, str]]:
        """{session_id, why} of each slot that cannot be packed, or not whole.

        Does not wait for one that is being packed: heartbeats ask, and files here are replaced whole.
        """
        found = [(one.session_id, self._unwritten.get(one.slot, one.error)) for one in self._shelf.slots()]
        return [{"session_id": name, "why": legible(why, MAX_WHY)} for name, why in found if name and why]

    def path_of(self, slot: str, digest: str) -> Path | None:
        """The archive of a pending version."""
        with self._lock:
            is_waiting = any(one.digest == digest for one in self._shelf.waiting(slot))
            return self._shelf.archive_of(slot, digest) if is_waiting else None

    def stored(self, slot: str, digest: str, number: int, *, is_current: bool) -> None:
        """The version is stored under that number. Told again, or of one that is not known any more, it changes nothing."""
        with self._lock:
            known = self._shelf.slot(slot)
            if known is not None and digest in known.sent and number > known.base:
                for one in self._shelf.waiting(slot):
                    if one.base == known.base and one.digest != digest:
                        self._shelf.describe(replace(one, base=number))
                later = known.sent[known.sent.index(digest) + 1 :]
                self._shelf.keep(
                    replace(known, base=number, digest=digest, is_current=is_current, sent=later)
                )
            self._drop(slot, digest)

    def refused(self, slot: str, digest: str, *, is_final: bool) -> None:
        """The version will not be taken: not this way, so that it waits to be fetched, or not at all."""
        with self._lock:
            if is_final:
                self._drop(slot, digest)
                return
            for one in self._shelf.waiting(slot):
                if one.digest == digest:
                    self._shelf.describe(replace(one, is_refused=True))

    def folder_of(self, session_id: str | None) -> Path | None:
        """Where the session's game saves."""
        with self._lock:
            folders = [one.folder for one in self._shelf.slots() if one.session_id == session_id]
        return self._place(folders[0]) if session_id and folders else None

    def _drop(self, slot: str, digest: str) -> None:
        for one in self._shelf.waiting(slot):
            if one.digest == digest:
                self._shelf.drop(one)

    def _place(self, folder: str) -> Path:
        return self._root / folder[1:]


class Look:
    """What the last looks at one folder saw. An agent that has just started takes it for changed."""

    def __init__(self, now: float) -> None:
        self.seen: Any = None
        self.changed_at = now
        self.dirty_since: float | None = now
        self.packed_at = self.again_at = -1e9

    def see(self, signature: Any, now: float) -> None:
        if self.seen is not None and signature != self.seen:
            self.changed_at = now
            self.dirty_since = now if self.dirty_since is None else self.dirty_since
        self.seen = signature


def _digest_of(place: Path) -> str:
    """Empty for what cannot be packed: it is not like anything that is stored."""
    try:
        return archive.digest_of(place)
    except (TooLarge, Changed):
        return ""


def _beside(place: Path) -> tuple[Path, Path]:
    return place.with_name(f".{place.name}.new"), place.with_name(f".{place.name}.old")


def _finish_swap(place: Path) -> None:
    """Who died between the two renames of a swap left no folder: what it was before comes back, and is swapped again."""
    fresh, former = _beside(place)
    if former.exists() and not place.exists():
        os.replace(str(former), str(place))
    for left in (fresh, former):
        shutil.rmtree(str(left), ignore_errors=True)
