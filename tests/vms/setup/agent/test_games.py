from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vms.setup.agent.running import Agent, is_silent
from tests.vms.setup.sshd import end_group, end_process, is_running
from tests.waiting import eventually
from vms.setup.agent.call import NoAnswer
from vms.setup.agent.session import Session

# A game that ignores a polite end.
DEAF = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done")
# A game that takes its time to end, and fails then.
SLOW = "trap 'echo asked' TERM; echo up; until [ -e {gate} ]; do sleep 0.02; done; exit 9"
# A game that writes down each of its starts and then plays on.
PLAY = "echo started >>{log}; exec sleep 600"


def play(log: Path) -> tuple[str, ...]:
    return ("sh", "-c", PLAY.format(log=log))


def saving(saved: Path) -> tuple[str, ...]:
    """A game that saves when it is asked to end."""
    return ("sh", "-c", f"trap 'echo yes >{saved}; exit 0' TERM; echo up; while :; do sleep 0.02; done")


# Waits until its keeper has shortened its log, for good: what is said while that goes on may be lost.
TALK = "yes | head -c 3000000; until [ $(wc -c <{log}) -lt 1048576 ]; do sleep 0.02; done; echo said; exec sleep 600"


def starts(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def but_time(view: dict[str, Any]) -> dict[str, Any]:
    """Without how long it was played, which grows by itself."""
    return {name: value for name, value in view.items() if name != "played_s"}


class TestLaunch:
    def test_runs_the_ordered_program_with_its_environment(self, agent: Agent, tmp_path: Path) -> None:
        out = tmp_path / "out"
        view = agent.launch(
            "s1", "sh", "-c", f'echo "$GAME" "$1" >{out}; exec sleep 600', "sh", "a b", GAME="zelda"
        )
        assert (view["state"], view["game_id"], view["exit_code"]) == ("launched", "game of s1", None)
        eventually(lambda: out.exists() and out.read_text() == "zelda a b\n")

    def test_runs_the_placeholder_when_nothing_is_ordered(self, agent: Agent) -> None:
        agent.launch("s1")
        eventually(lambda: "sleep 600" in command(agent.games()["s1"]))

    def test_hides_the_token_from_the_game(self, agent: Agent, tmp_path: Path) -> None:
        agent.launch("s1", "sh", "-c", f"env >{tmp_path}/env.part; mv {tmp_path}/env.part {tmp_path}/env")
        agent.until("s1", "ended")
        assert "canary" not in (tmp_path / "env").read_text()

    def test_does_not_show_the_environment(self, agent: Agent) -> None:
        agent.launch("s1", SECRET="canary")
        assert "canary" not in json.dumps([agent.session("s1"), agent.state()])

    def test_is_done_once_for_the_same_session(self, agent: Agent, tmp_path: Path) -> None:
        log = tmp_path / "starts"
        first = agent.launch("s1", *play(log))
        eventually(lambda: starts(log))
        again = agent.launch("s1", *play(log))
        assert but_time(again) == but_time(first)
        assert starts(log) == 1

    def test_is_done_once_when_asked_by_many_at_once(self, agent: Agent, tmp_path: Path) -> None:
        log = tmp_path / "starts"
        askers = [threading.Thread(target=agent.launch, args=("s1", *play(log))) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        eventually(lambda: starts(log))
        assert starts(log) == 1

    def test_is_not_repeated_for_a_session_that_is_over(self, agent: Agent) -> None:
        agent.launch("s1", "true")
        over = agent.until("s1", "ended")
        assert but_time(agent.launch("s1", "true")) == but_time(over)

    def test_ends_the_running_game_first(self, agent: Agent) -> None:
        agent.launch("s1")
        first = agent.games()["s1"]
        assert agent.launch("s2")["state"] == "launched"
        assert not is_running(first)
        assert is_running(agent.games()["s2"])
        assert agent.session("s1")["state"] == "ended"

    def test_fails_in_words_when_the_program_is_not_there(self, agent: Agent) -> None:
        view = agent.launch("s1", "no-such-emulator")
        assert view["state"] == "failed"
        assert view["reason"] == "cannot be started: no-such-emulator is not installed"

    def test_fails_in_words_when_the_program_cannot_be_started(self, agent: Agent, tmp_path: Path) -> None:
        broken = tmp_path / "broken"
        broken.write_bytes(b"\0\1\2")
        broken.chmod(0o755)
        view = agent.launch("s1", str(broken))
        assert view["state"] == "failed"
        assert "Exec format error" in view["reason"]


class TestEnd:
    def test_tells_a_game_that_ended_by_itself(self, agent: Agent) -> None:
        agent.launch("s1", "true")
        view = agent.until("s1", "ended")
        assert (view["exit_code"], view["reason"]) == (0, "")
        assert view["launched_at"] <= view["ended_at"]

    def test_tells_a_game_that_failed_with_what_it_said_last(self, agent: Agent) -> None:
        agent.launch("s1", "sh", "-c", "seq 5000; echo no GPU >&2; exit 9")
        view = agent.until("s1", "failed")
        assert (view["exit_code"], view["reason"]) == (9, "exit status 9")
        assert view["log_tail"].endswith("5000\nno GPU\n")
        assert len(view["log_tail"]) == 2048

    def test_tells_a_game_that_was_killed(self, agent: Agent) -> None:
        agent.launch("s1")
        end_group(agent.games()["s1"])
        view = agent.until("s1", "failed")
        assert (view["exit_code"], view["reason"]) == (None, "killed by signal 9")

    def test_kills_a_game_that_lost_its_keeper(self, agent: Agent) -> None:
        agent.launch("s1")
        game = agent.games()["s1"]
        end_process(parent(game))
        view = agent.until("s1", "failed")
        assert (view["exit_code"], view["reason"]) == (None, "killed")
        eventually(lambda: not is_running(game))

    def test_asks_the_game_to_end_and_waits_for_it(self, agent: Agent, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        agent.launch("s1", *saving(saved))
        eventually(lambda: agent.session("s1")["log_tail"] == "up\n")
        status, view = agent.ask("DELETE", "/sessions/s1")
        assert (status, view["state"], view["exit_code"], view["reason"]) == (
            200,
            "ended",
            0,
            "ended on request",
        )
        assert saved.read_text() == "yes\n"

    def test_kills_a_game_that_does_not_listen(self, make_agent: Callable[..., Agent]) -> None:
        agent = make_agent(grace_s=0.3)
        agent.start()
        agent.launch("s1", *DEAF)
        eventually(lambda: agent.session("s1")["log_tail"] == "up\n")
        # Who kills it may be late on a busy machine, and the agent says so: it is asked again.
        eventually(lambda: agent.ask("DELETE", "/sessions/s1")[1].get("state") == "ended")
        assert not is_running(agent.games()["s1"])

    def test_takes_along_what_the_game_started(self, agent: Agent) -> None:
        agent.launch("s1", "sh", "-c", "sleep 600 & echo $!; exit 0")
        helper = int(agent.until("s1", "ended")["log_tail"])
        eventually(lambda: not is_running(helper))

    def test_may_be_asked_again(self, agent: Agent) -> None:
        agent.launch("s1")
        status, first = agent.ask("DELETE", "/sessions/s1")
        again, second = agent.ask("DELETE", "/sessions/s1")
        assert (again, but_time(second)) == (status, but_time(first))

    def test_leaves_other_processes_alone(self, agent: Agent) -> None:
        agent.launch("s1")
        agent.launch("s2")
        agent.ask("DELETE", "/sessions/s1")
        assert agent.session("s2")["state"] == "launched"
        assert is_running(agent.games()["s2"])


class TestRestart:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_goes_on_with_the_running_game(
        self, agent: Agent, tmp_path: Path, number: signal.Signals
    ) -> None:
        log = tmp_path / "starts"
        before = agent.launch("s1", *play(log))
        eventually(lambda: starts(log))
        game = agent.games()["s1"]
        agent.stop(number)
        assert is_running(game)
        agent.start()
        assert but_time(agent.session("s1")) == but_time(before)
        assert but_time(agent.launch("s1", *play(log))) == but_time(before)
        assert starts(log) == 1
        agent.ask("DELETE", "/sessions/s1")
        assert not is_running(game)

    def test_learns_how_a_game_ended_meanwhile(self, agent: Agent, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        agent.launch("s1", "sh", "-c", f"until [ -e {gate} ]; do sleep 0.02; done; exit 4")
        game = agent.games()["s1"]
        agent.stop(signal.SIGKILL)
        gate.touch()
        eventually(lambda: not is_running(game))
        agent.start()
        assert agent.until("s1", "failed")["exit_code"] == 4

    def test_finishes_a_launch_it_died_in(self, agent: Agent, tmp_path: Path) -> None:
        log = tmp_path / "starts"
        agent.stop(signal.SIGKILL)
        # What is on disk between the intent to launch and the launch.
        folder = agent.folder / "state/sessions/s1"
        folder.mkdir(parents=True)
        (folder / "session.json").write_text(json.dumps(order(*play(log))))
        agent.start()
        assert agent.until("s1", "launched")["launched_at"]
        eventually(lambda: starts(log) == 1)

    def test_finds_the_game_it_died_starting(self, agent: Agent, tmp_path: Path) -> None:
        log = tmp_path / "starts"
        agent.launch("s1", *play(log))
        eventually(lambda: starts(log))
        agent.stop(signal.SIGKILL)
        # As it was before the agent had heard of the start.
        (agent.folder / "state/sessions/s1/session.json").write_text(json.dumps(order(*play(log))))
        agent.start()
        assert agent.until("s1", "launched")["launched_at"]
        agent.ask("DELETE", "/sessions/s1")
        assert not is_running(agent.games()["s1"])
        assert starts(log) == 1

    @pytest.mark.parametrize("is_over", [False, True])
    def test_never_starts_an_order_twice(self, agent: Agent, tmp_path: Path, is_over: bool) -> None:
        log = tmp_path / "starts"
        agent.launch("s1", *play(log))
        eventually(lambda: starts(log))
        if is_over:
            agent.ask("DELETE", "/sessions/s1")
        folder = agent.folder / "state/sessions/s1"
        argv = [sys.executable, str(agent.program), "keep", "--folder", str(folder), "--grace", "1"]
        assert subprocess.run(argv, check=False).returncode == 1
        assert starts(log) == 1

    def test_leaves_an_order_to_the_keeper_that_has_it(self, agent: Agent, tmp_path: Path) -> None:
        log = tmp_path / "starts"
        folder = tmp_path / "session"
        folder.mkdir()
        (folder / "session.json").write_text(json.dumps(order(*play(log))))
        with (folder / "lock").open("w") as lock:
            os.lockf(lock.fileno(), os.F_LOCK, 0)
            argv = [sys.executable, str(agent.program), "keep", "--folder", str(folder), "--grace", "1"]
            assert subprocess.run(argv, check=False, timeout=60).returncode == 1
        assert starts(log) == 0

    def test_ends_a_game_whose_end_was_asked_of_the_agent_before(
        self, make_agent: Callable[..., Agent], tmp_path: Path
    ) -> None:
        agent = make_agent(grace_s=600)
        agent.start()
        gate = tmp_path / "gate"
        agent.launch("s1", "sh", "-c", SLOW.format(gate=gate))
        eventually(lambda: agent.session("s1")["log_tail"] == "up\n")
        asker = threading.Thread(target=ask_in_vain, args=(agent,))
        asker.start()
        eventually(lambda: "asked" in agent.session("s1")["log_tail"])
        agent.stop(signal.SIGKILL)
        asker.join()
        agent.start()
        gate.touch()
        assert agent.until("s1", "ended")["reason"] == "ended on request"

    def test_knows_that_everything_died_with_it(self, agent: Agent) -> None:
        agent.launch("s1")
        game = agent.games()["s1"]
        agent.stop(signal.SIGKILL)
        end_process(parent(game))
        # As after a boot: the game's number belongs to somebody else, who is left alone.
        record = agent.folder / "state/sessions/s1/game.json"
        record.write_text(json.dumps({"pid": game, "start_time": 1}))
        agent.start()
        assert agent.until("s1", "failed")["reason"] == "killed"
        assert agent.launch("s2")["state"] == "launched"
        assert is_running(game)

    def test_lets_the_game_save_when_the_machine_goes_down(self, agent: Agent, tmp_path: Path) -> None:
        saved = tmp_path / "saved"
        agent.launch("s1", *saving(saved))
        eventually(lambda: agent.session("s1")["log_tail"] == "up\n")
        os.kill(parent(agent.games()["s1"]), signal.SIGTERM)
        agent.until("s1", "ended")
        assert saved.read_text() == "yes\n"

    def test_survives_a_broken_record(self, agent: Agent) -> None:
        agent.launch("s1", "true")
        agent.until("s1", "ended")
        agent.stop()
        (agent.folder / "state/sessions/s1/session.json").write_text('{"session_id": "s1"')
        agent.start()
        assert agent.state()["sessions"] == []

    def test_comes_back_whole_when_a_part_of_it_dies(self, caller: Agent) -> None:
        caller.start()
        caller.launch("s1", "true")
        caller.until("s1", "ended")
        caller.stop()
        (caller.folder / "state/sessions/s1/played.json").write_text('{"played_s": "long"}')
        # Half an agent would answer on; its supervisor can start a whole one.
        assert caller.start(is_awaited=False).wait(60) == 1
        assert "ValueError" in caller.log.read_text()

    def test_ends_at_once_when_asked(self, agent: Agent) -> None:
        assert agent.stop(signal.SIGTERM) == 0
        assert is_silent(agent)

    def test_refuses_to_run_twice(self, agent: Agent, tmp_path: Path) -> None:
        running = agent.process
        second = agent.start(is_awaited=False)
        assert second.wait(60) == 1
        agent.process = running
        assert agent.state()["vm_id"] == "vm1"


class TestKeeping:
    def test_forgets_the_oldest_sessions(self, agent: Agent) -> None:
        for number in range(25):
            agent.launch(f"s{number}", "no-such-program")
        kept = [each["session_id"] for each in agent.state()["sessions"]]
        assert kept == [f"s{number}" for number in range(5, 25)]
        assert sorted(path.name for path in (agent.folder / "state/sessions").iterdir()) == sorted(kept)

    def test_keeps_a_talkative_game_from_filling_the_disk(self, agent: Agent) -> None:
        folder = agent.folder / "state/sessions/s1"
        agent.launch("s1", "sh", "-c", TALK.format(log=folder / "log"))
        eventually(lambda: (folder / "log.before").exists() and (folder / "log").stat().st_size < 1024 * 1024)
        eventually(lambda: agent.session("s1")["log_tail"].endswith("said\n"))


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def order(*argv: str) -> dict[str, Any]:
    return Session("s1", "game of s1", list(argv), {}, "2026-01-01T00:00:00.000Z").stored()


def ask_in_vain(agent: Agent) -> None:
    with pytest.raises(NoAnswer):
        agent.ask("DELETE", "/sessions/s1")
