"""Calls that happen at the same moment, each in a thread with a database connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def at_once(*calls: Callable[[], Result]) -> list[Result | Exception]:
    """What each call returned or raised, in order. They leave a barrier together. Needs a transactional database."""
    barrier = Barrier(len(calls), timeout=30)

    def one(call: Callable[[], Result]) -> Result | Exception:
        try:
            connections["default"].ensure_connection()
            barrier.wait()
            return call()
        except Exception as error:  # noqa: BLE001  the test looks at it
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(one, call) for call in calls]]
