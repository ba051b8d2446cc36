"""The queue while its Postgres restarts: on a server of its own, so that nobody else is hurt."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from django.core.management import call_command
from django.db import connection
from django_q.models import OrmQ

from gamer.dev.embedded import Cluster, stop
from gamer.queue.enqueue import enqueue
from gamer.queue.wake import Listener, ring
from tests.gamer.queue import cluster as clusters
from tests.gamer.queue.cluster import is_alive
from tests.waiting import eventually

NOTE, HOLD = "tests.gamer.queue.tasks.note", "tests.gamer.queue.tasks.hold"


class Server:
    """A throw-away Postgres that can be stopped and started."""

    def __init__(self, home: Path) -> None:
        self.cluster = Cluster(home)
        self.start()
        self.cluster.ensure_database()

    def start(self) -> None:
        self.process = self.cluster.start(extra=["-c", "fsync=off"])

    def stop(self) -> None:
        stop(self.process)
        connection.close()


@pytest.fixture
def server(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The default connection leads to this server, which knows the queue's tables only."""
    home = Path(tempfile.mkdtemp(prefix="gamer-test-", dir="/var/lib" if os.geteuid() == 0 else "/var/tmp"))
    server = Server(home)
    connection.close()
    with monkeypatch.context() as changes:
        changes.setitem(connection.settings_dict, "HOST", str(server.cluster.socket_dir))
        changes.setitem(connection.settings_dict, "NAME", "gamer")
        call_command("migrate", "gamer_queue", verbosity=0)
        yield server
        connection.close()
    server.stop()
    shutil.rmtree(home)


class TestWorker:
    def test_goes_on_after_a_restart_and_acknowledges_what_it_was_doing(
        self, server: Server, book: Path, log: Path, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        with gate.open("w") as door, clusters.running(log) as (cluster, process):
            fcntl.flock(door, fcntl.LOCK_EX)
            enqueue(HOLD, str(book), "before", str(gate))
            eventually(lambda: len(book.read_text().splitlines()) == 1)
            (sentinel,) = cluster.pids("sentinel")
            server.stop()
            eventually(lambda: "does not answer" in log.read_text())
            server.start()
            fcntl.flock(door, fcntl.LOCK_UN)
            enqueue(NOTE, str(book), "after")
            eventually(lambda: not OrmQ.objects.exists())
            assert sorted(book.read_text().splitlines())[0] == "after"
            assert book.read_text().count("before ends") == 1
            assert is_alive(sentinel)
            assert process.poll() is None


class TestListener:
    def test_hears_again_after_a_restart(self, server: Server) -> None:
        heard: list[bool] = []
        with Listener("door") as listener:
            assert not listener.wait(0)
            server.stop()
            assert not listener.wait(0.3)
            server.start()
            assert listener.wait(30)  # the connection is new, so a ring may have been missed
            waiting = Thread(target=lambda: heard.append(listener.wait(30)))
            waiting.start()
            ring("door")
            waiting.join()
        assert heard == [True]
