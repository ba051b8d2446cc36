"""Waiting for real processes: on a condition, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], timeout_s: float = 30, every_s: float = 0.02) -> T:
    """The first truthy thing `look` gives; an AssertionError naming the last one after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"still {seen!r} after {timeout_s:g} s"
        threading.Event().wait(every_s)
