"""The worker cluster under the faults that freeze or orphan a stock one: real processes, real signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django_q.models import OrmQ

from gamer.queue.enqueue import enqueue
from tests.gamer.queue import cluster as clusters
from tests.gamer.queue.cluster import is_alive
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)
NOTE = "tests.gamer.queue.tasks.note"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book"
    path.touch()
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


class TestWork:
    def test_runs_a_task_once_and_acknowledges_it(self, book: Path, log: Path) -> None:
        with clusters.running(log):
            enqueue(NOTE, str(book), "one")
            eventually(lambda: book.read_text() == "one\n" and not OrmQ.objects.exists())


class TestSuddenDeath:
    @pytest.mark.parametrize("role", ["worker", "monitor", "pusher", "sentinel", "main"])
    def test_of_any_process_ends_them_all_at_once(self, role: str, log: Path) -> None:
        with clusters.running(log) as (cluster, process):
            everyone = cluster.everyone()
            os.kill(cluster.pids(role)[0], signal.SIGKILL)
            process.wait(5)
            eventually(lambda: not any(is_alive(pid) for pid in everyone), timeout_s=5)
