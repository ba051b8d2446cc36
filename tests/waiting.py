"""Waiting for real processes: on a condition, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import connection

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


def is_somebody_waiting() -> bool:
    """Whether another transaction waits for ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])
