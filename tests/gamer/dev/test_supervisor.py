"""The supervisor on real processes: small shell programs that come, go, write and misbehave."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gamer.dev.supervisor import Interrupted, Program, Supervisor
from gamer.env import ROOT
from tests.gamer.queue.cluster import below, is_alive
from tests.waiting import eventually

FOREVER = "echo up; exec sleep 1000"


class Output(io.StringIO):
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
def supervisor(output: Output, tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(cwd=tmp_path, output=output, grace_s=30) as supervisor:
        yield supervisor


def shell(name: str, script: str) -> Program:
    return Program(name, ["sh", "-c", script])


def count(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@contextmanager
def supervised(log: Path, *names_and_scripts: str) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own."""
    argv = [sys.executable, "-m", "tests.gamer.dev.supervised", *names_and_scripts]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class TestOutput:
    def test_is_prefixed_line_by_line(self, supervisor: Supervisor, output: Output) -> None:
        supervisor.start(shell("talker", "printf 'one\\ntw'; printf 'o\\n'; echo oops >&2; exec sleep 1000"))
        supervisor.wait_until(lambda: len(output.lines()) == 3)
        assert output.lines() == ["talker     | one", "talker     | two", "talker     | oops"]

    def test_holds_the_last_words_of_a_program_also_without_a_line_end(
        self, supervisor: Supervisor, output: Output
    ) -> None:
        supervisor.once("talker", ["sh", "-c", "printf 'the end'"], {})
        assert output.lines() == ["talker     | the end"]

    def test_is_not_waited_for_when_somebody_else_holds_it(
        self, supervisor: Supervisor, output: Output
    ) -> None:
        apart = (
            "setsid sh -c 'echo $$; touch apart; exec sleep 1000' & until [ -e apart ]; do sleep 0.05; done"
        )
        supervisor.once("parent", ["sh", "-c", apart], {})
        left_behind = int(output.lines()[0].split("|")[1])
        os.kill(left_behind, signal.SIGKILL)


class TestRestart:
    @pytest.mark.parametrize(
        ("ending", "said"),
        [
            ("exit 0", "ended with status 0"),
            ("exit 3", "ended with status 3"),
            ("kill -9 $$", "killed by SIGKILL"),
        ],
    )
    def test_follows_on_any_exit(
        self, ending: str, said: str, supervisor: Supervisor, output: Output, tmp_path: Path
    ) -> None:
        supervisor.start(shell("mayfly", f"echo x >> starts; {ending}"))
        supervisor.wait_until(lambda: count(tmp_path / "starts") >= 3)
        assert said in output.getvalue()

    def test_comes_later_every_time(self, supervisor: Supervisor, output: Output, tmp_path: Path) -> None:
        supervisor.start(shell("mayfly", "echo x >> starts"))
        supervisor.wait_until(lambda: count(tmp_path / "starts") == 3)
        waits = [line.split()[-2] for line in output.lines() if "again" in line]
        assert waits[:2] == ["0.2", "0.4"]

    def test_leaves_no_child_of_the_ended_program_behind(
        self, supervisor: Supervisor, output: Output, tmp_path: Path
    ) -> None:
        supervisor.start(shell("parent", "sleep 1000 & echo $! >> children"))
        supervisor.wait_until(lambda: count(tmp_path / "children") == 2)
        first = int((tmp_path / "children").read_text().splitlines()[0])
        eventually(lambda: not is_alive(first))

    def test_goes_on_when_a_program_cannot_be_started(self, supervisor: Supervisor, output: Output) -> None:
        starts = iter([subprocess.Popen(["true"])])

        def launch() -> subprocess.Popen[bytes]:
            for process in starts:
                return process
            raise RuntimeError("no disk left")

        supervisor.start(Program("base", launch=launch))
        supervisor.start(shell("other", FOREVER))
        supervisor.wait_until(lambda: "other      | up" in output.lines())
        supervisor.wait_until(lambda: output.getvalue().count("did not start: no disk left") >= 2)


class TestOnce:
    def test_tells_a_failure(self, supervisor: Supervisor) -> None:
        with pytest.raises(subprocess.CalledProcessError, match="status 4"):
            supervisor.once("migrate", ["sh", "-c", "exit 4"], {})

    def test_passes_the_environment_on(self, supervisor: Supervisor, output: Output) -> None:
        supervisor.once("show", ["sh", "-c", "echo $COLOUR"], {"COLOUR": "green"})
        assert output.lines() == ["show       | green"]

    def test_keeps_the_others_running_meanwhile(
        self, supervisor: Supervisor, output: Output, tmp_path: Path
    ) -> None:
        supervisor.start(shell("mayfly", "echo x >> starts"))
        supervisor.once("wait", ["sh", "-c", "until [ $(wc -l < starts) -ge 2 ]; do sleep 0.05; done"], {})
        assert count(tmp_path / "starts") >= 2

    def test_ends_the_program_on_a_signal(
        self, supervisor: Supervisor, output: Output, tmp_path: Path
    ) -> None:
        script = (
            f"trap 'echo ended > ended; exit' TERM; kill -TERM {os.getpid()}; while :; do sleep 0.05; done"
        )
        with pytest.raises(Interrupted):
            supervisor.once("long", ["sh", "-c", script], {})
        assert (tmp_path / "ended").exists()


class TestStop:
    def test_asks_in_the_reverse_order_of_the_start(
        self, supervisor: Supervisor, output: Output, tmp_path: Path
    ) -> None:
        for name in ("base", "middle", "top"):
            supervisor.start(
                shell(name, f"trap 'echo {name} >> order; exit' TERM; echo up; while :; do sleep 0.05; done")
            )
        supervisor.wait_until(lambda: len(output.lines()) == 3)
        supervisor.stop()
        assert (tmp_path / "order").read_text().split() == ["top", "middle", "base"]

    def test_kills_what_does_not_listen_and_all_it_started(
        self, supervisor: Supervisor, output: Output
    ) -> None:
        supervisor.start(shell("deaf", "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.05; done"))
        supervisor.wait_until(lambda: len(output.lines()) == 1)
        child = int(output.lines()[0].split("|")[1])
        supervisor.grace_s = 1
        supervisor.stop()
        eventually(lambda: not is_alive(child))

    def test_sends_the_signal_a_program_wants(
        self, supervisor: Supervisor, output: Output, tmp_path: Path
    ) -> None:
        script = "trap 'echo asked > asked; exit' INT; echo up; while :; do sleep 0.05; done"
        supervisor.start(Program("base", ["sh", "-c", script], ended_by=signal.SIGINT))
        supervisor.wait_until(lambda: len(output.lines()) == 1)
        supervisor.stop()
        assert (tmp_path / "asked").exists()


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_end_everything(self, number: signal.Signals, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with supervised(log, "one", FOREVER, "two", FOREVER) as process:
            eventually(lambda: log.read_text().count("| up") == 2)
            everyone = [seen.pid for seen in below(process.pid)]
            process.send_signal(number)
            assert process.wait(30) == 0
            assert not any(is_alive(pid) for pid in everyone)
        assert "gamer      | stopping" in log.read_text()

    def test_sent_twice_do_not_wait_for_the_deaf(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
        with supervised(log, *["one", deaf, "two", deaf, "three", deaf]) as process:
            eventually(lambda: log.read_text().count("| up") == 3)
            process.send_signal(signal.SIGINT)
            eventually(lambda: "stopping" in log.read_text())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0  # the grace periods of three would take three minutes

    def test_that_kill_the_supervisor_leave_nothing_behind(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with supervised(log, "one", FOREVER, "two", FOREVER) as process:
            eventually(lambda: log.read_text().count("| up") == 2)
            everyone = [seen.pid for seen in below(process.pid)]
            assert len(everyone) == 2
            process.kill()
            eventually(lambda: not any(is_alive(pid) for pid in everyone))
