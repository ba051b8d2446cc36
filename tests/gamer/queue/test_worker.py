"""The worker cluster under the faults that freeze or orphan a stock one: real processes, real signals, a real Postgres."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django_q.models import OrmQ, Schedule, Task

from gamer.env import ROOT
from gamer.queue.enqueue import enqueue
from gamer.queue.worker import FALLEN
from tests.gamer.queue import cluster as clusters
from tests.gamer.queue.cluster import is_alive
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]
NOTE, HOLD, DIE, OVERRUN = (f"tests.gamer.queue.tasks.{name}" for name in ("note", "hold", "die", "overrun"))
ROLES = ("worker", "monitor", "pusher", "sentinel", "main")


@contextmanager
def closed_gate(path: Path) -> Iterator[Path]:
    """Tasks that `hold` at this gate wait until the context ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def lines(book: Path) -> list[str]:
    return book.read_text().splitlines()


def is_done() -> bool:
    return not OrmQ.objects.exists()


def kill_at_work(cluster: clusters.WorkerCluster, role: str, names: set[str], book: Path, gate: Path) -> None:
    """One process, while two tasks of these are done and the others are claimed or wait; all the others end."""
    already = len(lines(book))
    with closed_gate(gate):
        for name in names:
            enqueue(HOLD, str(book), name, str(gate))
        eventually(lambda: len(lines(book)) == already + 2)
        everyone = cluster.everyone()
        os.kill(cluster.pids(role)[0], signal.SIGKILL)
        eventually(lambda: not any(is_alive(pid) for pid in everyone))


def let_claims_expire() -> None:
    """What `retry` seconds would do, once nobody claims any more: the last words of the dead may still be on their way."""
    eventually(lambda: not others())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET lock = clock_timestamp() WHERE lock > clock_timestamp()")


def others() -> int:
    """How many sessions of other processes there are in our database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


class TestWork:
    def test_runs_a_task_once_and_acknowledges_it(self, book: Path, log: Path) -> None:
        with clusters.running(log):
            enqueue(NOTE, str(book), "one")
            eventually(is_done)
            assert lines(book) == ["one"]

    def test_keeps_schedules_though_one_of_them_is_bad(self, book: Path, log: Path) -> None:
        times = {"schedule_type": Schedule.MINUTES, "minutes": 1, "next_run": "2026-01-01T00:00Z"}
        Schedule.objects.create(name="bad", func=NOTE, args="1, (", **times)
        Schedule.objects.create(name="good", func=NOTE, args=f"{str(book)!r}, 'on time'", **times)
        with clusters.running(log):
            eventually(lambda: lines(book) == ["on time"])
        assert Schedule.objects.get(name="bad").repeats == 0
        assert "schedule bad is switched off" in log.read_text()

    def test_survives_a_task_that_overruns_its_time(self, book: Path, log: Path, tmp_path: Path) -> None:
        with (
            closed_gate(tmp_path / "gate") as gate,
            clusters.running(log, settings="hasty_settings") as (cluster, _),
        ):
            enqueue(HOLD, str(book), "slow", str(gate))
            failed = eventually(lambda: Task.objects.filter(success=False).first())
            assert "Task exceeded maximum timeout value (1 seconds)" in failed.result
            enqueue(NOTE, str(book), "next")
            eventually(lambda: "next" in lines(book))
            eventually(cluster.is_complete)

    def test_gives_a_task_of_minutes_the_time_it_asked_for(
        self, book: Path, log: Path, tmp_path: Path
    ) -> None:
        with clusters.running(log, settings="hasty_settings"):
            with closed_gate(tmp_path / "gate") as gate:
                enqueue(HOLD, str(book), "long", str(gate), timeout_s=60)
                enqueue(HOLD, str(book), "slow", str(gate))
                failed = eventually(lambda: Task.objects.filter(success=False).first())
                assert "slow" in failed.args
            eventually(lambda: "long ends" in lines(book))
        assert "slow ends" not in lines(book)

    def test_survives_a_task_that_cannot_be_interrupted(self, book: Path, log: Path, tmp_path: Path) -> None:
        with (
            closed_gate(tmp_path / "gate") as gate,
            clusters.running(log, settings="hasty_settings") as (cluster, _),
        ):
            enqueue(OVERRUN, str(book), str(gate))
            (stuck,) = eventually(lambda: [int(line.split()[1]) for line in lines(book)])
            eventually(lambda: not is_alive(stuck))
            eventually(cluster.is_complete)
            enqueue(NOTE, str(book), "next")
            eventually(lambda: "next" in lines(book))


class TestStop:
    def test_lets_running_tasks_end_and_takes_no_new_ones(
        self, book: Path, log: Path, tmp_path: Path
    ) -> None:
        with clusters.running(log) as (cluster, process):
            with closed_gate(tmp_path / "gate") as gate:
                for name in ("one", "two"):
                    enqueue(HOLD, str(book), name, str(gate))
                eventually(lambda: len(lines(book)) == 2)
                (pusher,) = cluster.pids("pusher")
                process.send_signal(signal.SIGTERM)
                eventually(lambda: not is_alive(pusher))
                enqueue(NOTE, str(book), "late")
            assert process.wait(60) == 0
        assert {"one ends", "two ends"} < set(lines(book))
        assert "late" not in lines(book)
        assert [row.args()[1] for row in OrmQ.objects.all()] == ["late"]


class TestSuddenDeath:
    def test_of_any_process_ends_all_and_loses_no_task(self, book: Path, log: Path, tmp_path: Path) -> None:
        """A cluster for each; the next first does what the death in the one before has left."""
        left: set[str] = set()
        for role in (*ROLES, None):
            with clusters.running(log) as (cluster, process):
                eventually(is_done)
                assert {f"{name} ends" for name in left} <= set(lines(book)), role
                if role is None:
                    break
                left = {f"{role} {number}" for number in range(6)}
                kill_at_work(cluster, role, left, book, tmp_path / "gate")
                process.wait(30)
            let_claims_expire()

    @pytest.mark.parametrize(
        "role", ["worker", "monitor"]
    )  # idle, they hold the locks that freeze a stock cluster
    def test_of_an_idle_process_freezes_nothing(self, role: str, book: Path, log: Path) -> None:
        with clusters.running(log) as (cluster, process):
            everyone = cluster.everyone()
            os.kill(cluster.pids(role)[0], signal.SIGKILL)
            process.wait(30)
            eventually(lambda: not any(is_alive(pid) for pid in everyone))

    def test_by_its_own_task_runs_that_task_again(self, book: Path, log: Path) -> None:
        enqueue(DIE, str(book))
        with clusters.running(log, until_complete=False) as (_, process):
            process.wait(60)
        assert lines(book) == ["dies"]
        let_claims_expire()
        with clusters.running(log, until_complete=False) as (_, process):
            process.wait(60)
        assert lines(book) == ["dies", "dies"]


class TestUnderASupervisor:
    def test_a_cluster_that_fell_is_back_and_works(self, book: Path, log: Path) -> None:
        command = f"exec {shlex.join(clusters.COMMAND)}"
        argv = [sys.executable, "-m", "tests.gamer.dev.supervised", "worker", command]
        with log.open("wb") as output:
            supervisor = subprocess.Popen(
                argv, cwd=ROOT, env=clusters.environment(), stdout=output, stderr=output
            )
        try:
            first = eventually(lambda: working(supervisor.pid))
            os.kill(first.pids("worker")[0], signal.SIGKILL)
            second = eventually(lambda: working(supervisor.pid, other_than=first))
            enqueue(NOTE, str(book), "after")
            eventually(is_done)
        finally:
            supervisor.terminate()
            supervisor.wait(60)
        assert lines(book) == ["after"]
        assert not is_alive(second.main)


def working(
    supervisor: int, other_than: clusters.WorkerCluster | None = None
) -> clusters.WorkerCluster | None:
    """The complete cluster that a supervisor runs, if it does."""
    for seen in clusters.below(supervisor):
        cluster = clusters.WorkerCluster(seen.pid)
        if (
            seen.parent == supervisor
            and cluster.is_complete()
            and (not other_than or other_than.main != seen.pid)
        ):
            return cluster
    return None


class TestHang:
    """What the death of a process cannot show: one that lives and does nothing."""

    @pytest.mark.parametrize(
        ("role", "reason"),
        [("pusher", "idle workers do not take it"), ("sentinel", "the sentinel has been silent")],
    )
    def test_is_noticed_and_ends_the_cluster(self, role: str, reason: str, book: Path, log: Path) -> None:
        with clusters.running(log, settings="watchful_settings") as (cluster, process):
            everyone = cluster.everyone()
            os.kill(cluster.pids(role)[0], signal.SIGSTOP)
            enqueue(NOTE, str(book), "stuck")
            assert process.wait(60) == FALLEN
            eventually(lambda: not any(is_alive(pid) for pid in everyone))
        assert reason in log.read_text()
