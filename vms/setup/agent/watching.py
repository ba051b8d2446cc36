"""Waits until something changes below a folder: by inotify(7) where this machine has it, else for a short while only."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import Any

try:
    import ctypes
except ImportError:
    ctypes = None  # type: ignore[assignment]

POLL_S = 2.0
MOST_FOLDERS = 512
# Of linux/inotify.h: modify, attrib, close_write, moved_from, moved_to, create, delete; only folders, and no link.
EVENTS = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200
ONLY_FOLDERS = 0x01000000 | 0x02000000


class Changes:
    """`wait` is called by one thread, `poke` by any."""

    def __init__(self) -> None:
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        self._libc: Any = ctypes.CDLL(None, use_errno=True) if ctypes is not None else None
        self._watch = -1
        self._folder: Path | None = None

    def poke(self) -> None:
        """End the wait under way, or the next one."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b".")

    def wait(self, folder: Path | None, timeout_s: float) -> None:
        """Until something is written below `folder`, or somebody pokes, or the time is over.

        Not at all where it is another folder than before: what was written until it was watched is found by looking.
        """
        if folder != self._folder:
            self._folder = folder
            self._look_at(folder)
            return
        is_blind = folder is not None and self._watch < 0
        watched = [self._woken] + ([self._watch] if self._watch >= 0 else [])
        ready = select.select(watched, [], [], min(timeout_s, POLL_S) if is_blind else timeout_s)[0]
        for descriptor in ready:
            with contextlib.suppress(BlockingIOError):
                while os.read(descriptor, 64 * 1024):
                    pass
        if self._watch in ready:
            # New folders are watched as well; what was written in them before is found by looking.
            self._look_at(folder)

    def _look_at(self, folder: Path | None) -> None:
        if self._watch >= 0:
            os.close(self._watch)
        self._watch = -1
        if folder is None or self._libc is None:
            return
        self._watch = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        is_added = False  # nor where the folder is missing
        for count, (path, _, _) in enumerate(os.walk(str(folder))):
            is_added = self._watch >= 0 and count < MOST_FOLDERS and self._add(path)
            if not is_added:
                break
        if not is_added:
            self._give_up()

    def _add(self, path: str) -> bool:
        return bool(self._libc.inotify_add_watch(self._watch, os.fsencode(path), EVENTS | ONLY_FOLDERS) >= 0)

    def _give_up(self) -> None:
        """Half a watch would miss changes: none at all looks every other second."""
        if self._watch >= 0:
            os.close(self._watch)
        self._watch = -1
