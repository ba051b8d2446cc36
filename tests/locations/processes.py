"""A second database connection in a thread of its own, as a second process would have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


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
