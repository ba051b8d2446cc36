"""No room on the disk: the agent goes on, so that what is there can be fetched, and writes again when it can. Or none in an archive."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.vms.setup.agent.playing import Playing, app
from tests.vms.setup.agent.running import Agent, PublicUrl, full
from tests.vms.setup.agent.test_games import TALK
from tests.vms.setup.agent.test_saves import SLOT, Console, make_console
from tests.vms.setup.sshd import end_group
from tests.waiting import eventually
from vms.setup.agent import archive
from vms.setup.agent.archive import EMPTY

__all__ = ["make_console"]


def is_running(word: str) -> bool:
    """Whether any process was started with it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


def is_alive(agent: Agent) -> bool:
    return agent.process is not None and agent.process.poll() is None


@contextmanager
def small_files(agent: Agent) -> Iterator[None]:
    """As a full disk does it, no file takes more than 100 kB from the agent."""
    assert agent.process is not None
    before = resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, before)


class TestFullDisk:
    def test_ends_no_agent_that_sees_a_game_end(self, caller: Agent, public_url: PublicUrl) -> None:
        caller.start()
        caller.launch("s1")
        with full(caller.folder / "state/sessions/s1/session.json"):
            end_group(caller.games()["s1"])
            caller.until("s1", "failed")
            eventually(lambda: [one["body"]["state"] for one in public_url.seen("events")][-1:] == ["failed"])
            assert is_alive(caller)
        caller.stop()
        caller.start()
        caller.until("s1", "failed")

    def test_takes_no_order_and_says_why(self, agent: Agent) -> None:
        with full(agent.folder / "state/sessions/s1/session.json"):
            status, answer = agent.ask("POST", "/sessions", {"session_id": "s1", "argv": ["sleep", "600"]})
            assert (status, "Is a directory" in answer["error"]) == (503, True)
            assert agent.games() == {}
        assert agent.launch("s1")["state"] == "launched"

    def test_ends_no_order_whose_save_finds_no_room(self, make_console: Callable[..., Console]) -> None:
        """For good, that is: there may be some the next time."""
        console = make_console()
        console.start()
        console.play()
        console.write("played here")
        digest = console.bring({"a.srm": "restored", "b.state": "x" * 200_000})
        with small_files(console):
            view = console.play("s2", expect=503, base=5, digest=digest)
            assert "File too large" in view["error"]
            assert [path.name for path in console.saves.parent.iterdir()] == ["abc"]
            assert (console.saves / "zelda.srm").read_text() == "played here"
        console.play("s2", base=5, digest=digest)
        assert (console.saves / "a.srm").read_text() == "restored"

    def test_ends_no_game_that_talks(self, agent: Agent) -> None:
        folder = agent.folder / "state/sessions/s1"
        (folder / "log.before").mkdir(parents=True)
        agent.launch("s1", "sh", "-c", TALK.format(log=folder / "log"))
        eventually(lambda: agent.session("s1")["log_tail"].endswith("said\n"))
        assert agent.session("s1")["state"] == "launched"

    def test_leaves_no_game_running_that_nobody_could_end(self, agent: Agent) -> None:
        with full(agent.folder / "state/sessions/s1/game.json"):
            agent.launch("s1", "tail", "-f", str(agent.log))
            assert "Is a directory" in agent.until("s1", "failed")["reason"]
            assert not is_running(str(agent.log))

    def test_ends_no_agent_that_is_not_heard(
        self, make_agent: Callable[..., Agent], public_url: PublicUrl, tmp_path: Path
    ) -> None:
        public_url.answers["heartbeat"] = (500, b"")
        agent = make_agent(public_url.url, backoff_s=0.1)
        with full(tmp_path / "state/samples.json", tmp_path / "state/uplink.json"):
            agent.start()
            eventually(lambda: len(public_url.seen("heartbeat")) > 3)
            public_url.answers["heartbeat"] = (200, b"{}")
            eventually(lambda: "earlier" not in public_url.seen("heartbeat")[-1]["body"])
            assert any("earlier" in one["body"] for one in public_url.seen("heartbeat"))
            assert is_alive(agent)

    def test_ends_no_agent_whose_save_was_taken(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        console = make_console(public_url.url, backoff_s=0.1)
        public_url.answers["saves"] = (500, b"")
        console.start()
        console.play()
        console.write("saved")
        version = console.one("saved")
        with full(console.kept / f"slots/{SLOT}.json"):
            public_url.answers["saves"] = (200, json.dumps({"number": 1, "is_current": True}).encode())
            pushed = len(public_url.seen("/agent/saves"))
            eventually(lambda: len(public_url.seen("/agent/saves")) > pushed + 1)
            assert is_alive(console)
            told = {"slot": SLOT, "digest": version["digest"], "number": 1, "is_current": True}
            status, answer = console.ask("POST", "/saves/stored", told)
            assert (status, "Is a directory" in answer["error"]) == (503, True)
            # What is there can be had.
            assert console.content(version) == {"zelda.srm": "saved"}
        eventually(lambda: console.slot()["base"] == 1)

    def test_ends_no_agent_that_would_set_a_games_clock(
        self, make_agent: Callable[..., Agent], wolf: Playing, tmp_path: Path
    ) -> None:
        agent = make_agent(root=str(tmp_path / "root"), wolf_sockets=[str(wolf.socket)])
        agent.start()
        eventually(lambda: agent.state()["activity"]["is_wolf_up"])  # from here on it hears who comes
        clock = tmp_path / "root/srv/gamer/apps/zelda/clock"
        save = {"slot": SLOT, "folder": "/srv/gamer/saves/zelda", "base": 0, "digest": EMPTY}
        timed = {**save, "clock": 946_684_800, "clock_file": "/srv/gamer/apps/zelda/clock"}
        order = {"session_id": "s1", "game_id": "x", "app": app(), "save": timed}
        assert agent.ask("POST", "/sessions", order)[0] == 201
        agent.until("s1", "launched")
        clock.unlink()
        clock.mkdir()
        for act in ("stream", "resume"):
            wolf.does(act, client_id="77")
        eventually(lambda: agent.session("s1")["played_s"] >= 1)
        wolf.does("leave", client_id="77")
        eventually(lambda: list(clock.parent.glob("clock.*.part")))
        played = agent.session("s1")["played_s"]
        for act in ("stream", "resume"):
            wolf.does(act, client_id="77")
        # Who counts is who sets the clock.
        eventually(lambda: agent.session("s1")["played_s"] >= played + 1)
        assert is_alive(agent)


def with_states(console: Console) -> None:
    """More of them than an archive holds."""
    (console.saves / "states").mkdir()
    for number in range(archive.MAX_ENTRIES + 1):
        (console.saves / "states" / str(number)).touch()


class TestTooMuch:
    def test_goes_without_states_that_are_too_much_and_says_so(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        """A console's own save must not be lost for pictures of the whole console."""
        public_url.answers["saves"] = (500, b"")
        console = make_console(public_url.url)
        console.start()
        console.play()
        console.write("played")
        with_states(console)
        console.ask("POST", "/saves/flush", {})
        console.one("played")
        why = "kept without its states: it has more than 4096 files and folders"
        assert console.slot()["error"] == why
        beats = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > beats + 1)
        assert public_url.seen("heartbeat")[-1]["body"]["unpacked"] == [{"session_id": "s1", "why": why}]
        shutil.rmtree(console.saves / "states")
        console.ask("POST", "/saves/flush", {})
        eventually(lambda: "unpacked" not in public_url.seen("heartbeat")[-1]["body"])

    def test_goes_on_being_packed_as_its_game_writes(self, make_console: Callable[..., Console]) -> None:
        """In whatever order a disk gives its folders: some come after the states."""
        console = make_console()
        console.start()
        console.play()
        cards = [f"card{number}/a.raw" for number in range(9)]
        for card in cards:
            console.write("first", card)
        with_states(console)
        console.ask("POST", "/saves/flush", {})
        for card in cards:
            (console.saves / card).write_text(
                "second"
            )  # into the file that is there: its folder stays as it was
            eventually(lambda card=card: console.content(console.waiting()[0]).get(card) == "second")

    def test_goes_on_from_another_version_all_the_same(self, make_console: Callable[..., Console]) -> None:
        """One that the player restored, say: without it this machine would never play the game again."""
        console = make_console()
        console.start()
        console.play()
        console.write("played here")
        with_states(console)
        console.play("s2", base=5, digest=console.bring({"zelda.srm": "restored"}))
        assert (console.saves / "zelda.srm").read_text() == "restored"
        (version,) = console.waiting()
        assert console.content(version) == {"zelda.srm": "played here"}
