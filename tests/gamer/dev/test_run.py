"""`python -m gamer.dev`, which is `make run`, as a process: everything starts, answers, and ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import requests

from gamer.dev.__main__ import CannotRun, alone, farewell, free_port, own_port, welcome
from gamer.dev.embedded import Cluster
from gamer.env import ROOT
from sandbox.addresses import bound
from tests import ports
from tests.gamer.queue.cluster import below, is_alive
from tests.sandbox.vendor import Vendor
from tests.waiting import eventually

# `make run` is tried as a newcomer has it: with none of these.
OURS = (
    "DATABASE_URL",
    "SECRET_KEY",
    "GAMER_KEYS",
    "PUBLIC_URL",
    "ALLOWED_HOSTS",
    "GAMER_PROCESS",
    "SAVES_URL",
)


@pytest.fixture
def state() -> Iterator[Path]:
    state = Path(tempfile.mkdtemp(prefix="gamer-test-", dir="/var/tmp"))
    yield state
    with pytest.MonkeyPatch.context() as changes:
        changes.setenv("GAMER_STATE_DIR", str(state))
        home = Cluster.of(ROOT).home
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(state)


@pytest.fixture
def own_database() -> Iterator[str]:
    """The URL of an empty database on the run's server."""
    server, name = os.environ["GAMER_TEST_DATABASE_URL"], f"run_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as raw:
        raw.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        yield server.rpartition("/")[0] + f"/{name}"
        raw.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


class Running:
    """A run that answers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, state: Path, log: Path) -> None:
        self.process, self.port, self.state, self.log = process, port, state, log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, pattern: str) -> str:
        """The first group of a pattern in the output."""
        found = re.search(pattern, self.log.read_text())
        assert found, self.log.read_text()
        return found[1]

    def sandbox(self) -> Vendor:
        return Vendor(SimpleNamespace(**json.loads((self.state / "sandbox.json").read_text())))  # type: ignore[arg-type]


@contextmanager
def running(state: Path, **environment: str) -> Iterator[Running]:
    port, log = ports.free(), state / "log"
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    own = {
        "PORT": str(port),
        "GAMER_STATE_DIR": str(state),
        "DJANGO_SETTINGS_MODULE": "tests.gamer.dev.run_settings",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gamer.dev"],
            cwd=ROOT,
            env={**inherited, **own, **environment},
            stdout=output,
            stderr=output,
        )
    run = Running(process, port, state, log)
    try:
        eventually(lambda: "Ctrl-C ends everything" in log.read_text() or process.poll() is not None, 90)
        assert process.poll() is None, log.read_text()
        yield run
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.timeout(240)
class TestRun:
    def test_brings_everything_up_and_takes_everything_down(self, state: Path) -> None:
        with running(state) as run:
            everyone = [seen.pid for seen in below(run.process.pid)]
            assert requests.get(f"{run.url}/health", timeout=30).json()["status"] == "healthy"
            assert signs_in(run.url, "admin@gamer.local", run.said(r"password +(\S+)"))
            key = {"X-API-Key": run.said(r"API key +(\S+)")}
            assert requests.get(f"{run.url}/config/emulators", headers=key, timeout=30).status_code == 200
            wanted = {"postgres", "q-sentinel", "q-pusher"}
            eventually(lambda: wanted <= {seen.name for seen in below(run.process.pid)})
            with run.sandbox() as vendor:
                machine = vendor.create()
            run.process.send_signal(signal.SIGINT)
            assert run.process.wait(60) == 0
            assert machine in run.said(r"1 sandbox machine was still alive and ends now:\n(.*)")
            eventually(lambda: not any(is_alive(pid) for pid in everyone))

    def test_uses_the_database_it_is_given_and_leaves_nothing_behind_when_killed(
        self, state: Path, own_database: str
    ) -> None:
        with running(state, DATABASE_URL=own_database) as run:
            everyone = [seen.pid for seen in below(run.process.pid)]
            assert "postgres" not in {seen.name for seen in below(run.process.pid)}
            key = {"X-API-Key": run.said(r"API key +(\S+)")}
            assert requests.get(f"{run.url}/config/emulators", headers=key, timeout=30).status_code == 200
            style = re.search(
                r'href="(/static/[^"]+\.css)"', requests.get(f"{run.url}/admin/login/", timeout=30).text
            )
            assert style
            assert requests.get(run.url + style[1], timeout=30).status_code == 200
            run.process.kill()
            eventually(lambda: not any(is_alive(pid) for pid in everyone))
        with psycopg.connect(own_database) as raw:
            assert raw.execute("SELECT count(*) FROM accounts_user WHERE is_superuser").fetchone() == (1,)

    def test_ends_with_the_reason_when_the_preparation_fails(self, state: Path) -> None:
        with (
            pytest.raises(
                AssertionError, match=r"`manage.py migrate --verbosity 0` failed; its lines above say why."
            ),
            running(state, DATABASE_URL="postgres://nobody@127.0.0.1:1/nothing"),
        ):
            raise ValueError("not reached")


def signs_in(url: str, user: str, password: str) -> bool:
    with requests.Session() as browser:
        page = browser.get(f"{url}/admin/login/", timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token
        form = {"csrfmiddlewaretoken": token[1], "username": user, "password": password, "next": "/admin/"}
        answer = browser.post(f"{url}/admin/login/", data=form, headers={"Referer": url}, timeout=30)
        return answer.status_code == 200 and answer.url == f"{url}/admin/"


class TestPort:
    def test_that_is_taken_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(CannotRun, match=f"Port {port} is not free .*PORT=8001 make run"):
                free_port(str(port))

    @pytest.mark.parametrize("text", ["", "http", "0", "70000", "-1"])
    def test_must_be_one(self, text: str) -> None:
        with pytest.raises(CannotRun, match="must be a number from 1 to 65535"):
            free_port(text)

    def test_of_the_sandbox_is_nobody_elses_before_it_starts_and_between_its_starts(self) -> None:
        port = own_port()
        for _ in range(2):
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", port))
            with bound("127.0.0.1", port) as sandbox:
                sandbox.listen()


class TestAlone:
    def test_is_one_run_per_checkout(self) -> None:
        with alone(), pytest.raises(CannotRun, match="running already"), alone():
            raise AssertionError("not reached")


class TestWelcome:
    def test_shows_a_command_that_the_shell_understands(self) -> None:
        text = welcome("http://127.0.0.1:8000", {"DEMO_API_KEY": "gk_key", "ADMIN_PASSWORD": "word"})
        command = shlex.split(text[text.index("curl") : text.index("Ctrl-C")])
        body = json.loads(command[command.index("-d") + 1])
        assert command[command.index("-H") + 1] == "X-API-Key: gk_key"
        assert (body["console_type"], body["user_latitude"], body["user_longitude"]) == (
            "switch",
            32.7767,
            -96.797,
        )


class TestFarewell:
    def test_says_when_nobody_answers(self) -> None:
        assert (
            farewell(f"http://127.0.0.1:{ports.closed()}/control")
            == "the sandbox does not say which machines are left"
        )
