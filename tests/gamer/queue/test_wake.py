from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import psycopg
import pytest
from django.db import connection, transaction

from gamer.queue.wake import Listener, close_listeners, listen, ring
from tests.gamer.queue.cluster import heard, own_url
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ear() -> Iterator[psycopg.Connection]:
    with psycopg.connect(own_url(), autocommit=True) as raw:
        raw.execute("LISTEN door; LISTEN gate")
        yield raw


class TestRing:
    def test_is_heard_at_once_outside_a_transaction(self, ear: psycopg.Connection) -> None:
        ring("door")
        assert heard(ear, "door") == ["door"]

    def test_is_heard_once_per_channel_after_the_commit(self, ear: psycopg.Connection) -> None:
        with transaction.atomic():
            for _ in range(3):
                ring("door")
            ring("gate")
            assert heard(ear, "door") == []
        assert heard(ear, "door") == ["door", "gate"]

    def test_is_not_heard_after_a_rollback(self, ear: psycopg.Connection) -> None:
        with transaction.atomic():
            ring("door")
            transaction.set_rollback(True)
        assert heard(ear, "door") == []

    def test_of_an_undone_savepoint_takes_no_other_ring_with_it(self, ear: psycopg.Connection) -> None:
        with transaction.atomic():
            with transaction.atomic():
                with transaction.atomic():
                    ring("door")  # released, and then rolled back with its parent
                ring("gate")
                ring("gate")
                transaction.set_rollback(True)
            ring("door")
        assert heard(ear, "door") == ["door"]

    def test_is_heard_once_when_savepoints_were_released_between(self, ear: psycopg.Connection) -> None:
        with transaction.atomic():
            with transaction.atomic():
                with transaction.atomic():
                    ring("door")
                ring("door")
            ring("door")
        assert heard(ear, "door") == ["door"]

    def test_is_heard_when_an_inner_one_was_undone_and_another_released(
        self, ear: psycopg.Connection
    ) -> None:
        with transaction.atomic():
            with transaction.atomic():
                ring("door")
                transaction.set_rollback(True)
            with transaction.atomic():
                ring("door")
        assert heard(ear, "door") == ["door"]


class TestListener:
    def test_hears_what_rang_between_two_waits(self) -> None:
        with Listener("door") as listener:
            assert not listener.wait(0)
            with transaction.atomic():
                ring("door")
                ring("door")
            assert listener.wait(30)
            assert not listener.wait(0.1)

    def test_hears_its_own_channel_only(self) -> None:
        with Listener("door") as listener:
            listener.wait(0)
            ring("gate")
            assert not listener.wait(0.1)

    def test_says_true_after_a_lost_connection_because_a_ring_may_have_been_missed(self) -> None:
        with Listener("door") as listener:
            listener.wait(0)
            with psycopg.connect(own_url(), autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND query = 'LISTEN \"door\"'"
                )
            assert listener.wait(30)
            assert not listener.wait(0)
            ring("door")
            assert listener.wait(30)


class TestListen:
    @pytest.fixture(autouse=True)
    def closed(self) -> Iterator[None]:
        yield
        close_listeners()

    def test_keeps_its_connection_between_calls(self) -> None:
        listen("door", 0)
        ring("door")
        assert listen("door", 30)
        assert not listen("door", 0.1)

    def test_waits_on_two_channels_apart(self) -> None:
        listen("door", 0)
        listen("gate", 0)
        ring("gate")
        assert not listen("door", 0.1)
        assert listen("gate", 30)

    def test_leaves_no_connection_behind_in_a_thread_that_ended(self) -> None:
        ended = Thread(target=listen, args=("door", 0))
        ended.start()
        ended.join()
        eventually(lambda: sessions_waiting_on("door") == 0)


def sessions_waiting_on(channel: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = %s",
            [f'LISTEN "{channel}"'],
        )
        return int(cursor.fetchone()[0])
