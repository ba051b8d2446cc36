"""What was measured while nobody listened: a bounded file, told with the next heartbeat that is taken.

The server takes samples of up to an hour ago. A failing heartbeat comes every one to two minutes, so an hour of silence fits.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .files import read_json, write_json

MOST = 60


class Backlog:
    """Used by one thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        kept = (read_json(file) or {}).get("samples")
        self._samples: list[dict[str, Any]] = kept if isinstance(kept, list) else []

    def add(self, at: str, measured: dict[str, float]) -> None:
        """The oldest goes for it when there are too many."""
        if measured:
            self._samples = [*self._samples, {"at": at, "metrics": measured}][-MOST:]
            self._write()

    def samples(self) -> list[dict[str, Any]]:
        return self._samples

    def clear(self) -> None:
        """They were taken."""
        if self._samples:
            self._samples = []
            self._write()

    def _write(self) -> None:
        # No room: they are remembered, and what was taken is not counted twice.
        with contextlib.suppress(OSError):
            write_json(self._file, {"samples": self._samples})
