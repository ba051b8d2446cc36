"""Calls that happen at the same moment, each in a thread with a database connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections, transaction
from django.db.models import Model

from tests.waiting import eventually, is_somebody_waiting

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


def met(call: Callable[[], Result], *held: Model) -> Result:
    """What a call returns that comes to wait for the first of some rows, which somebody locks one after the other. Where it holds
    another of them by then, neither goes on. Needs a transactional database."""

    def one() -> Result:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            for number, row in enumerate(held):
                type(row)._default_manager.select_for_update(no_key=True).get(pk=row.pk)
                if number == 0:
                    called = pool.submit(one)
                    eventually(is_somebody_waiting)
        return called.result(30)
