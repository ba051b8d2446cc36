"""Marked places to die at. In production a mark costs one comparison; tests kill the process at each of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_deadly = os.environ.get("GAMER_DIE_AT", "")
_in_process = ""


class Died(BaseException):
    """Death in one process of a test: no `except Exception` survives it, and nothing is cleaned up on the way."""


def crash_point(name: str) -> None:
    """Dies here when this point was chosen: by SIGKILL (GAMER_DIE_AT), or by `Died` inside `dying_at`."""
    if name == _deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == _in_process:
        raise Died(name)


@contextmanager
def dying_at(name: str) -> Iterator[None]:
    """Tests: die at a point of this process, as far as one process can."""
    global _in_process
    _in_process = name
    try:
        yield
    finally:
        _in_process = ""
