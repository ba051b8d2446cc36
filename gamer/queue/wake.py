"""Waking a process that waits: a NOTIFY after the commit, and a LISTEN that survives the database.

A ring is a hint. Whoever waits also polls, so a ring that is lost costs one polling interval.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psycopg
from django.db import DatabaseError, connection, transaction
from psycopg import sql

logger = logging.getLogger(__name__)

RECONNECT_S = 0.2


@dataclass(frozen=True)
class _Bell:
    """The pending NOTIFY of a transaction; compared by channel to ring once."""

    channel: str

    def __call__(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", [self.channel])
        except DatabaseError as error:
            # What was announced is committed; its reader finds it at its next look.
            logger.warning("could not ring %s: %s", self.channel, str(error).strip())


def ring(channel: str) -> None:
    """Wakes whoever listens on `channel`, once per transaction and after its commit, in a statement of its own.

    NOTIFY inside a transaction makes commits of all transactions queue up behind each other, so it never is. A rollback
    rings nothing. Raises nothing: a database that is away is logged.
    """
    bell = _Bell(channel)
    if not connection.in_atomic_block:
        bell()
        return
    # One that waits already shares our fate: a savepoint that was undone took its bells along, one that was released cannot
    # be undone any more, and those still open are ours too.
    if any(waiting == bell for _, waiting, *_ in connection.run_on_commit):
        return
    transaction.on_commit(bell)


@dataclass
class Listener:
    """Waits for rings on a connection of its own. Use as a context manager, or call `close`."""

    channel: str
    _raw: psycopg.Connection[Any] | None = field(default=None, init=False, repr=False)
    _was_connected: bool = field(default=False, init=False, repr=False)

    def wait(self, timeout_s: float) -> bool:
        """True as soon as somebody rang since the last call, False after `timeout_s` seconds.

        True also after a lost connection was made anew, because a ring may have been missed. While the database is away
        it tries to reconnect until the time is over. Rings are coalesced.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if self._raw is None and self._connect():
                    return True
                return self._has_rung(max(0.0, deadline - time.monotonic()))
            except psycopg.OperationalError:
                self.close()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(RECONNECT_S, remaining))

    def _connect(self) -> bool:
        """Connects; whether this is a second time."""
        raw = psycopg.connect(**connection.get_connection_params(), autocommit=True)
        raw.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.channel)))
        self._raw = raw
        again, self._was_connected = self._was_connected, True
        return again

    def _has_rung(self, timeout_s: float) -> bool:
        assert self._raw is not None
        rang = False
        for _ in self._raw.notifies(timeout=timeout_s, stop_after=1):
            rang = True
        if rang:
            for _ in self._raw.notifies(timeout=0):
                pass
        return rang

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()  # a thread that ends takes what `listen` kept for it along


_listeners = threading.local()


def listen(channel: str, timeout_s: float) -> bool:
    """`Listener.wait` on a listener that this thread keeps for `channel`. The first call hears only what rings after it began."""
    kept: dict[str, Listener] = _listeners.__dict__
    return kept.setdefault(channel, Listener(channel)).wait(timeout_s)


def close_listeners() -> None:
    """Closes what `listen` kept for this thread."""
    kept: dict[str, Listener] = _listeners.__dict__
    while kept:
        kept.popitem()[1].close()
