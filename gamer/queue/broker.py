"""The queue's rows, claimed with SKIP LOCKED and announced by NOTIFY.

Replaces django-q2's own broker on the same table, whose claim is a read and a compare-and-swap per row without an index,
by the application's clock, found by polling. Here one statement claims by the database's clock, and an idle pusher waits
on LISTEN. A lost notification costs the fallback of five seconds, nothing else.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import InterfaceError, OperationalError, connections
from django.db.models import QuerySet
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage
from psycopg import sql

from gamer.queue import wake

if TYPE_CHECKING:
    from gamer.queue.pulse import Pulse

logger = logging.getLogger(__name__)

FALLBACK_S = 5.0
DATABASE_AWAY_S = 1.0  # between two tries to reach it
# A task that kills its worker saves no result, so django-q2's max_attempts never counts it.
MAX_CLAIMS = 10

CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM django_q_ormq WHERE key = %(key)s AND lock <= clock_timestamp()
    ORDER BY lock LIMIT %(bulk)s FOR UPDATE SKIP LOCKED
)
UPDATE django_q_ormq AS task
SET lock = clock_timestamp() + make_interval(secs => %(retry)s), claims = task.claims + 1
FROM due WHERE task.id = due.id
RETURNING task.id, task.payload, task.claims
"""
INSERT = """
INSERT INTO django_q_ormq (key, payload, lock)
VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s)) RETURNING id
"""
INSERT_AND_NOTIFY = f"WITH added AS ({INSERT}) SELECT id, pg_notify(%s, '') FROM added"  # noqa: S608  no values in it
EARLIEST = "SELECT extract(epoch FROM min(lock) - clock_timestamp()) FROM django_q_ormq WHERE key = %s"

# A claimed row's `lock` lies in the future.
BACKLOG = """
SELECT count(*) FILTER (WHERE lock <= statement_timestamp()), count(*), extract(epoch FROM statement_timestamp() - min(lock))
FROM django_q_ormq WHERE key = %s
"""


def channel_of(key: str) -> str:
    """The NOTIFY channel on which a queue's new rows are announced."""
    return f"gamer_queue_{key}"


class PgBroker(ORM):  # type: ignore[misc]  # django-q2 is untyped
    """`pulse` is set in a worker cluster only: there the claims are counted for its watchdog."""

    def __init__(self, list_key: str | None = None, *, delay_s: float = 0) -> None:
        super().__init__(list_key)
        self.delay_s = delay_s
        self.pulse: Pulse | None = None
        self._listening: object = None  # the raw connection that has said LISTEN

    @staticmethod
    def get_connection(list_key: str | None = None) -> QuerySet[Any]:
        # Unlike the parent's, closes no connection: a caller's would be reopened for every task it hands over.
        return OrmQ.objects.using(Conf.ORM)  # type: ignore[no-any-return]

    def enqueue(self, task: str) -> int:
        """Adds a row and announces it: in one statement, or after the caller's transaction, which NOTIFY would serialise."""
        connection = connections[Conf.ORM]
        values = [self.list_key, task, self.delay_s]
        channel = channel_of(self.list_key)
        with connection.cursor() as cursor:
            if connection.in_atomic_block:
                cursor.execute(INSERT, values)
                wake.ring(channel)
            else:
                cursor.execute(INSERT_AND_NOTIFY, [*values, channel])
            return int(cursor.fetchone()[0])

    def dequeue(self) -> list[tuple[int, str]]:
        """Claims due rows for `retry` seconds; with none, waits for one up to FALLBACK_S and returns an empty list."""
        try:
            return self._claim_or_wait()
        except (OperationalError, InterfaceError) as error:
            logger.warning("the queue's database does not answer: %s", str(error).strip())
            connections[Conf.ORM].close()
            time.sleep(DATABASE_AWAY_S)
            return []

    def _claim_or_wait(self) -> list[tuple[int, str]]:
        connection = connections[Conf.ORM]
        connection.ensure_connection()
        with connection.cursor() as cursor:
            if self._listening is not connection.connection:  # before the claim, so that no row slips between
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel_of(self.list_key))))
                self._listening = connection.connection
            cursor.execute(CLAIM, {"key": self.list_key, "bulk": Conf.BULK, "retry": Conf.RETRY})
            claimed = cursor.fetchall()
            if not claimed:
                cursor.execute(EARLIEST, [self.list_key])
                earliest_s = cursor.fetchone()[0]
        if claimed:
            if self.pulse is not None:
                self.pulse.claimed()
            return [(row, payload) for row, payload, claims in claimed if self._is_fit(row, payload, claims)]
        wait_s = FALLBACK_S if earliest_s is None else min(FALLBACK_S, max(0.0, float(earliest_s)))
        with connection.wrap_database_errors:
            for _ in connection.connection.notifies(timeout=wait_s, stop_after=1):
                pass
        return []

    def _is_fit(self, row: int, payload: str, claims: int) -> bool:
        """False, and the row is gone, for one that was claimed often and never acknowledged: it kills its workers."""
        if claims <= MAX_CLAIMS:
            return True
        try:
            task = SignedPackage.loads(payload)
            what = f"{task['func']}{task['args']}"
        except BadSignature:
            what = "a task signed with another key"
        logger.error("dropped after %d claims without an end: %s", MAX_CLAIMS, what)
        self.delete(row)
        return False

    def delete(self, task_id: int) -> None:
        """Removes a row; tries a second time on a new connection, because an unremoved row runs again."""
        try:
            super().delete(task_id)
        except (OperationalError, InterfaceError):
            connections[Conf.ORM].close()
            super().delete(task_id)


class Backlog(NamedTuple):
    """The rows of a queue: `due` now, and claimed or `later`; how long the oldest due one waits, 0 when none is due."""

    due: int
    later: int
    oldest_due_s: float


def backlog() -> Backlog:
    """What waits for our workers, by the clock that they claim by."""
    with connections[Conf.ORM].cursor() as cursor:
        cursor.execute(BACKLOG, [Conf.CLUSTER_NAME])
        due, rows, oldest_s = cursor.fetchone()
    return Backlog(due, rows - due, max(0.0, float(oldest_s or 0)))
