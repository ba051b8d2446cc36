"""Several database connections at once, each in a thread of its own, as several processes would have them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


def closing(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Runs in a pool's thread, whose connection nobody else would close."""
    try:
        return work(*args, **options)
    finally:
        connection.close()


def at_once(work: Callable[[int], Any], times: int) -> list[Any]:
    barrier = threading.Barrier(times)

    def one(number: int) -> Any:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(lambda number: closing(one, number), range(times)))


class Other:
    """A transaction that stays open on a connection of its own until `end`."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._block = transaction.atomic()

    def run(self, work: Callable[[], Any]) -> Any:
        return self._pool.submit(work).result(30)

    def begin(self) -> None:
        self.run(lambda: self._block.__enter__())

    def end(self) -> None:
        self.run(lambda: self._block.__exit__(None, None, None) if connection.in_atomic_block else None)


@contextmanager
def another_transaction() -> Iterator[Other]:
    with ThreadPoolExecutor(1) as pool:
        other = Other(pool)
        other.begin()
        try:
            yield other
        finally:
            other.end()
            other.run(lambda: connection.close())


def waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def wait_until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < until, "it never came about"
        pause.wait(0.01)
