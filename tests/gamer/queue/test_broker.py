from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Thread

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ

from gamer.queue import broker as brokers
from gamer.queue.broker import MAX_CLAIMS, PgBroker, backlog, channel_of
from gamer.queue.enqueue import enqueue
from tests.gamer.queue.cluster import heard, own_url
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)
TASK = "tests.gamer.queue.tasks.note"


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found


def shift_locks(seconds: float) -> None:
    """Lets the queue's rows grow older by so many seconds."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET lock = lock - make_interval(secs => %s)", [seconds])


def in_a_thread(work: object) -> Thread:
    """Runs with a database connection of its own, which it closes."""

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def short_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty queue is waited for, here not for long."""
    monkeypatch.setattr(brokers, "FALLBACK_S", 0.05)


@pytest.fixture
def ear() -> Iterator[psycopg.Connection]:
    """Hears what is announced on the queue's channel."""
    with psycopg.connect(own_url(), autocommit=True) as raw:
        raw.execute(f"LISTEN {channel_of('gamer')}")
        yield raw


class TestDequeue:
    def test_claims_due_rows_for_the_retry_time_by_the_databases_clock(self) -> None:
        enqueue(TASK, "a")
        before = database_now()
        ((row, payload),) = PgBroker().dequeue()
        after = database_now()
        claimed = OrmQ.objects.get()
        assert (row, payload) == (claimed.pk, claimed.payload)
        assert before <= claimed.lock - timedelta(seconds=Conf.RETRY) <= after
        assert PgBroker().dequeue() == []

    def test_hands_a_row_out_again_when_nobody_acknowledged_it_in_time(self) -> None:
        enqueue(TASK, "a")
        (first,) = PgBroker().dequeue()
        shift_locks(Conf.RETRY + 1)
        assert PgBroker().dequeue() == [first]

    def test_forgets_an_acknowledged_row(self) -> None:
        enqueue(TASK, "a")
        broker = PgBroker()
        ((row, _),) = broker.dequeue()
        broker.acknowledge(row)
        assert not OrmQ.objects.exists()

    def test_takes_the_longest_due_first_and_no_more_than_bulk(self) -> None:
        for name in "abcdef":
            enqueue(TASK, name)
        with connection.cursor() as cursor:  # the last in is now the longest due
            cursor.execute("UPDATE django_q_ormq SET lock = now() - make_interval(secs => id)")
        rows = [row for row, _ in PgBroker().dequeue()]
        assert sorted(rows) == sorted(OrmQ.objects.values_list("pk", flat=True))[-Conf.BULK :]

    def test_leaves_a_delayed_row_until_its_time(self) -> None:
        enqueue(TASK, "a", delay_s=60)
        assert PgBroker().dequeue() == []
        shift_locks(61)
        assert len(PgBroker().dequeue()) == 1

    def test_waits_no_longer_than_a_delayed_row_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(brokers, "FALLBACK_S", 100)
        enqueue(TASK, "a", delay_s=0.2)
        broker = PgBroker()
        assert eventually(broker.dequeue)

    def test_is_woken_by_an_announcement(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(brokers, "FALLBACK_S", 100)
        found: list[object] = []
        broker = PgBroker()

        def wait() -> None:
            while not found:
                found.extend(broker.dequeue())

        waiting = in_a_thread(wait)
        eventually(lambda: _is_listening())
        enqueue(TASK, "a")
        waiting.join(30)
        assert len(found) == 1

    def test_gives_every_row_to_one_claimer_only(self) -> None:
        for number in range(100):
            enqueue(TASK, number)

        def claim() -> list[int]:
            try:
                broker, mine = PgBroker(), []
                while rows := broker.dequeue():
                    mine += [row for row, _ in rows]
                return mine
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            claims = Counter(
                row for future in [pool.submit(claim) for _ in range(4)] for row in future.result()
            )
        assert len(claims) == 100
        assert set(claims.values()) == {1}

    def test_does_not_wait_for_a_row_that_another_transaction_holds(self) -> None:
        enqueue(TASK, "held")
        enqueue(TASK, "free")
        held = OrmQ.objects.order_by("pk")[0]
        with psycopg.connect(own_url()) as other:
            other.execute("SELECT 1 FROM django_q_ormq WHERE id = %s FOR UPDATE", [held.pk])
            assert [row for row, _ in PgBroker().dequeue()] == [held.pk + 1]

    def test_drops_a_row_that_keeps_killing_its_workers(self, caplog: pytest.LogCaptureFixture) -> None:
        enqueue(TASK, "poison")
        for _ in range(MAX_CLAIMS):
            assert len(PgBroker().dequeue()) == 1
            shift_locks(Conf.RETRY + 1)
        assert PgBroker().dequeue() == []
        assert not OrmQ.objects.exists()
        assert "tests.gamer.queue.tasks.note('poison',)" in caplog.text

    def test_says_so_and_goes_on_when_its_connection_is_cut(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(brokers, "DATABASE_AWAY_S", 0)
        monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 600)  # as in a worker
        connection.close()
        broker = PgBroker()
        broker.dequeue()
        with psycopg.connect(own_url(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert broker.dequeue() == []
        assert "does not answer" in caplog.text
        enqueue(TASK, "a")
        assert len(broker.dequeue()) == 1


class TestEnqueue:
    def test_announces_a_row_at_once_outside_a_transaction(self, ear: psycopg.Connection) -> None:
        enqueue(TASK, "a")
        assert len(heard(ear, channel_of("gamer"))) == 1

    def test_announces_once_after_a_transaction_and_not_inside_it(self, ear: psycopg.Connection) -> None:
        with transaction.atomic():
            for name in "abc":
                enqueue(TASK, name)
            assert heard(ear, channel_of("gamer")) == []
        assert len(heard(ear, channel_of("gamer"))) == 1


class TestBacklog:
    def test_is_what_is_due_and_how_long_the_oldest_of_it_waits(self) -> None:
        assert backlog() == (0, 0, 0)
        enqueue(TASK, "later", delay_s=60)
        assert backlog() == (0, 1, 0)
        shift_locks(100)
        enqueue(TASK, "now")
        enqueue(TASK, "later", delay_s=60)
        assert backlog() == (2, 1, pytest.approx(40, abs=20))

    def test_is_nothing_of_a_queue_that_our_workers_do_not_take_from(self) -> None:
        OrmQ.objects.create(key="another", payload="", lock=timezone.now() - timedelta(hours=1))
        assert backlog() == (0, 0, 0)


class TestSettings:
    def test_a_claimed_task_starts_before_its_claim_ends(self) -> None:
        """Up to queue_limit + bulk tasks are claimed and wait for a worker; a shorter retry would run them twice."""
        found = settings.Q_CLUSTER
        waiting = (found["queue_limit"] + found["bulk"]) / found["workers"]
        assert found["retry"] > found["timeout"] * (1 + waiting)

    def test_a_worker_has_no_pool_because_sockets_do_not_survive_a_fork(self) -> None:
        assert "pool" not in connection.settings_dict.get("OPTIONS", {})


def _is_listening() -> bool:
    """Whether some session of this database waits after its LISTEN."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'idle' AND query LIKE 'SELECT extract(epoch FROM min(lock)%%'"
        )
        return bool(cursor.fetchone()[0])
