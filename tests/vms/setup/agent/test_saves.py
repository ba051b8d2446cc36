"""Saves on a machine: put in place before a game, kept while it plays, waiting until they are stored, whoever dies when."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulators import archives
from tests.vms.setup.agent.running import Agent, PublicUrl, full, packed_of
from tests.waiting import eventually
from vms.setup.agent import archive
from vms.setup.agent.archive import EMPTY

SLOT, OTHER = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
FOLDER = "/srv/gamer/saves/abc"
HASTY = {"save_quiet_s": 0.1, "save_interval_s": 0.3}
Waiting = dict[str, Any]


class Console(Agent):
    """An agent whose machine's paths start in a folder of the test's."""

    def __init__(self, folder: Path, public_url: str = "", **settings: Any) -> None:
        super().__init__(folder, public_url, root=str(folder / "root"), **{**HASTY, **settings})

    @property
    def saves(self) -> Path:
        return self.folder / "root" / FOLDER[1:]

    @property
    def kept(self) -> Path:
        return self.folder / "state/saves"

    def play(self, session_id: str = "s1", *, expect: int = 201, **save: Any) -> dict[str, Any]:
        order = {"slot": SLOT, "folder": FOLDER, "base": 0, "digest": EMPTY, "clock": None, **save}
        body = {"session_id": session_id, "game_id": "zelda", "save": order}
        status, view = self.ask("POST", "/sessions", body)
        assert status == expect, view
        return view

    def write(self, text: str, name: str = "zelda.srm") -> None:
        """Whole at once: the agents of these tests hardly wait for a file to come to rest."""
        (self.saves / name).parent.mkdir(parents=True, exist_ok=True)
        written = self.folder / "written"
        written.write_text(text)
        written.replace(self.saves / name)

    def bring(self, files: dict[str, str]) -> str:
        """A version delivered to the machine; its digest."""
        digest, packed = packed_of(self.folder / "elsewhere", files)
        (self.kept / "incoming" / f"{digest}.tgz").write_bytes(packed)
        return digest

    def slot(self, slot: str = SLOT) -> dict[str, Any]:
        return next(one for one in self.state()["saves"] if one["slot"] == slot)

    def waiting(self) -> list[Waiting]:
        return [one for slot in self.state()["saves"] for one in slot["pending"]]

    def content(self, version: Waiting) -> dict[str, str]:
        """The files of a version that waits, by name; none once a newer one took its place."""
        status, answer = self.ask("GET", f"/saves/{version['slot']}/{version['digest']}")
        if status == 404:
            return {}
        assert status == 200
        try:
            content = Path(answer["path"]).read_bytes()
        except FileNotFoundError:
            return {}
        assert archives.digest_of(content) == version["digest"]
        place, packed = self.folder / "looked-at", self.folder / "looked-at.tgz"
        packed.write_bytes(content)
        shutil.rmtree(place, ignore_errors=True)
        archive.unpack(packed, place, version["digest"])
        return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}

    def one(self, text: str) -> Waiting:
        """Waits until exactly one version waits, and it is this."""
        return eventually(
            lambda: next(
                (
                    one
                    for one in self.waiting()
                    if len(self.waiting()) == 1 and self.content(one) == {"zelda.srm": text}
                ),
                None,
            )
        )

    def stored(self, version: Waiting, number: int, *, is_current: bool = True) -> None:
        told = {"slot": version["slot"], "digest": version["digest"], "number": number}
        assert self.ask("POST", "/saves/stored", {**told, "is_current": is_current})[0] == 200


@pytest.fixture
def make_console(tmp_path: Path) -> Any:
    made: list[Console] = []

    def make(public_url: str = "", **settings: Any) -> Console:
        made.append(Console(tmp_path, public_url, **settings))
        return made[-1]

    yield make
    for console in made:
        console.end()


@pytest.fixture
def console(make_console: Callable[..., Console]) -> Console:
    console = make_console()
    console.start()
    return console


class TestLaunch:
    def test_of_an_empty_slot_makes_an_empty_folder(self, console: Console) -> None:
        console.play()
        assert list(console.saves.iterdir()) == []
        assert console.waiting() == []

    def test_asks_for_the_version_it_begins_with(self, console: Console) -> None:
        view = console.play(base=3, digest="a" * 64, expect=409)
        assert "not on this machine" in view["error"]
        assert console.state()["sessions"] == []

    def test_leaves_the_running_game_alone_while_a_save_is_missing(self, console: Console) -> None:
        console.launch("s0")
        console.play(base=3, digest="a" * 64, expect=409)
        assert console.session("s0")["state"] == "launched"

    def test_puts_the_version_in_place(self, console: Console) -> None:
        console.play(base=3, digest=console.bring({"zelda.srm": "from far", "states/1": "state"}))
        assert (console.saves / "zelda.srm").read_text() == "from far"
        assert (console.saves / "states/1").read_text() == "state"
        assert list((console.kept / "incoming").iterdir()) == []
        assert (console.slot()["base"], console.waiting()) == (3, [])

    def test_refuses_a_version_that_is_something_else(self, console: Console) -> None:
        digest = console.bring({"zelda.srm": "from far"})
        path = console.kept / "incoming" / f"{digest}.tgz"
        path.write_bytes(packed_of(console.folder / "elsewhere", {"zelda.srm": "swapped"})[1])
        view = console.play(base=3, digest=digest, expect=400)
        assert "something else" in view["error"]
        assert not path.exists()

    def test_never_loses_what_was_not_stored_when_something_newer_comes(self, console: Console) -> None:
        console.play()
        console.write("played here")
        console.ask("DELETE", "/sessions/s1")
        console.play("s2", base=5, digest=console.bring({"zelda.srm": "played elsewhere"}))
        assert (console.saves / "zelda.srm").read_text() == "played elsewhere"
        (kept,) = console.waiting()
        assert (kept["base"], kept["session_id"], console.content(kept)) == (
            0, "s1", {"zelda.srm": "played here"},
        )  # fmt: skip

    def test_goes_on_from_what_is_here_when_the_order_is_older(self, console: Console) -> None:
        console.play()
        console.write("first")
        console.stored(console.one("first"), 1)
        console.write("second")
        console.one("second")
        console.ask("DELETE", "/sessions/s1")
        for session_id, base in (("s2", 1), ("s3", 0)):
            console.play(session_id, base=base, digest="a" * 64)
            assert (console.saves / "zelda.srm").read_text() == "second"

    def test_leaves_a_side_branch_for_the_current_version(self, console: Console) -> None:
        console.play()
        console.write("mine")
        console.stored(console.one("mine"), 7, is_current=False)
        console.ask("DELETE", "/sessions/s1")
        console.play("s2", base=6, digest=console.bring({"zelda.srm": "the other's"}))
        assert (console.saves / "zelda.srm").read_text() == "the other's"
        assert console.waiting() == []

    def test_keeps_what_an_agent_without_memory_finds(self, console: Console) -> None:
        console.write("whoever played")
        console.play("s2", base=5, digest=console.bring({"zelda.srm": "played elsewhere"}))
        (kept,) = console.waiting()
        assert (kept["base"], kept["session_id"], console.content(kept)) == (
            0, "s2", {"zelda.srm": "whoever played"},
        )  # fmt: skip

    @pytest.mark.parametrize(
        "wrong",
        [
            {"slot": "x"},
            {"folder": "/srv/../etc"},
            {"folder": "saves"},
            {"base": -1},
            {"base": True},
            {"digest": "z" * 64},
            {"clock": "noon"},
            {"clock": 1},
        ],
    )
    def test_refuses_an_order_that_is_none(self, console: Console, wrong: dict[str, Any]) -> None:
        console.play(expect=400, **wrong)


class TestWaiting:
    def test_is_what_the_game_wrote_once_it_came_to_rest(self, console: Console) -> None:
        console.play()
        console.write("saved")
        version = console.one("saved")
        assert (version["session_id"], version["base"], version["is_refused"]) == ("s1", 0, False)
        assert (
            version["size"] == (console.kept / "outgoing" / f"{SLOT}-{version['digest']}.tgz").stat().st_size
        )

    def test_is_only_the_newest_picture_of_what_began_alike(self, console: Console) -> None:
        console.play()
        for text in ("one", "two", "three"):
            console.write(text)
            console.one(text)
        # Beside them the part of an archive may lie for a moment, while the agent looks once more.
        eventually(lambda: len(list((console.kept / "outgoing").iterdir())) == 2)

    def test_goes_when_it_is_stored_and_the_next_begins_there(self, console: Console) -> None:
        console.play()
        console.write("one")
        first = console.one("one")
        console.write("two")
        console.one("two")
        # Meanwhile the first one was stored: what came of it is told to come of it.
        console.stored(first, 4)
        assert console.one("two")["base"] == 4
        assert console.slot()["base"] == 4
        console.stored(console.one("two"), 5)
        assert console.waiting() == []
        console.stored(first, 4)
        assert (console.slot()["base"], console.waiting()) == (5, [])

    def test_is_nothing_when_all_is_as_it_was_stored(self, console: Console) -> None:
        console.play(base=3, digest=console.bring({"zelda.srm": "same"}))
        (console.saves / "zelda.srm").write_text("other")
        console.one("other")
        (console.saves / "zelda.srm").write_text("same")
        assert console.one("same")["base"] == 3
        console.stored(console.one("same"), 3)
        console.ask("POST", "/saves/flush", {})
        assert console.waiting() == []

    def test_is_never_a_folder_that_is_gone(self, console: Console) -> None:
        console.play(base=3, digest=console.bring({"zelda.srm": "dear"}))
        shutil.rmtree(console.saves)
        assert console.ask("POST", "/saves/flush", {})[1]["saves"][0]["pending"] == []

    def test_is_dropped_when_nobody_will_ever_take_it(self, console: Console) -> None:
        console.play()
        console.write("odd")
        version = console.one("odd")
        told = {"slot": SLOT, "digest": version["digest"]}
        assert console.ask("POST", "/saves/refused", told)[0] == 200
        assert console.waiting() == []
        assert list((console.kept / "outgoing").iterdir()) == []

    def test_says_what_cannot_be_packed(self, console: Console) -> None:
        console.play()
        for number in range(archive.MAX_ENTRIES + 1):
            (console.saves / str(number)).touch()
        console.ask("POST", "/saves/flush", {})
        assert "more than 4096" in console.slot()["error"]
        shutil.rmtree(console.saves)
        console.write("well")
        console.one("well")
        assert console.slot()["error"] == ""

    def test_of_one_slot_does_not_hang_on_another_of_which_nothing_can_be_written(
        self, console: Console
    ) -> None:
        """As on a full disk: neither the archive nor the reason."""
        console.play()
        other = "/srv/gamer/saves/other"
        console.play("s2", slot=OTHER, folder=other)
        with full(console.kept / f"outgoing/{SLOT}", console.kept / f"slots/{SLOT}.json"):
            console.write("no room")
            (console.folder / "root" / other[1:] / "zelda.srm").write_text("room")
            status, told = console.ask("POST", "/saves/flush", {})
            assert status == 200
            assert [len(one["pending"]) for one in told["saves"]] == [0, 1]
            assert "Is a directory" in console.slot()["error"]
        console.ask("POST", "/saves/flush", {})
        assert (len(console.slot()["pending"]), console.slot()["error"]) == (1, "")

    def test_of_a_game_that_never_rests_is_taken_all_the_same(
        self, make_console: Callable[..., Console]
    ) -> None:
        console = make_console(save_quiet_s=0.5, save_interval_s=0.2)
        console.start()
        console.play()
        stop = threading.Event()

        def scribble() -> None:
            count = 0
            while not stop.wait(0.05):
                count += 1
                console.write(str(count))

        writer = threading.Thread(target=scribble)
        writer.start()
        try:
            eventually(console.waiting)
        finally:
            stop.set()
            writer.join()

    @pytest.mark.parametrize(
        ("verb", "path", "body"),
        [
            ("POST", "/saves/stored", {"slot": "x", "digest": "a" * 64, "number": 1}),
            ("POST", "/saves/stored", {"slot": SLOT, "digest": "a", "number": 1}),
            ("POST", "/saves/stored", {"slot": SLOT, "digest": "a" * 64, "number": 0}),
            ("POST", "/saves/refused", {"slot": SLOT}),
            ("POST", "/saves/nothing", {}),
            ("GET", f"/saves/{SLOT}/{'a' * 64}", None),
            ("GET", "/saves/../../agent.json", None),
            ("GET", "/saves/*/*", None),
        ],
    )
    def test_is_asked_in_words_we_know(self, console: Console, verb: str, path: str, body: Any) -> None:
        assert console.ask(verb, path, body)[0] in (400, 404)


class TestDeath:
    """SIGKILL, and an agent that starts again."""

    def restart(self, console: Console) -> None:
        console.stop(signal.SIGKILL)
        console.start()

    def test_leaves_what_waited_and_what_was_not_packed_yet(
        self, make_console: Callable[..., Console]
    ) -> None:
        console = make_console(save_interval_s=600)
        console.start()
        # Before the game: an agent that has looked at an empty folder does not look again for the interval.
        console.write("before")
        console.play()
        first = console.one("before")
        console.write("after")
        self.restart(console)
        assert console.one("after")["base"] == first["base"]

    def test_between_the_renames_of_a_swap_loses_nothing(self, console: Console) -> None:
        console.play()
        console.write("mine")
        console.one("mine")
        console.ask("DELETE", "/sessions/s1")
        console.stop(signal.SIGKILL)
        console.saves.rename(console.saves.with_name(".abc.old"))
        console.saves.with_name(".abc.new").mkdir()
        console.start()
        assert (console.saves / "zelda.srm").read_text() == "mine"
        assert console.one("mine")
        assert [path.name for path in console.saves.parent.iterdir()] == ["abc"]

    def test_after_a_swap_takes_the_new_content_for_no_change(self, console: Console) -> None:
        console.play()
        digest = console.bring({"zelda.srm": "newer"})
        console.ask("DELETE", "/sessions/s1")
        console.stop(signal.SIGKILL)
        console.write("newer")
        console.start()
        console.play("s2", base=2, digest=digest)
        assert (console.slot()["base"], console.slot()["digest"]) == (2, digest)

    def test_while_packing_leaves_no_litter(self, make_console: Callable[..., Console]) -> None:
        console = make_console(save_quiet_s=600, save_interval_s=600)  # it packs nothing when it starts again
        console.start()
        console.play()
        console.stop(signal.SIGKILL)
        for name in (f"{SLOT}.part", f"{SLOT}-{'b' * 64}.tgz", f"{SLOT}-{'c' * 64}.json.part"):
            (console.kept / "outgoing" / name).write_text("half")
        console.start()
        assert list((console.kept / "outgoing").iterdir()) == []


class TestPush:
    def test_brings_a_version_and_remembers_its_number(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        console = make_console(public_url.url)
        public_url.answers["saves"] = (200, json.dumps({"number": 8, "is_current": True}).encode())
        console.start()
        console.play()
        console.write("saved")
        (seen,) = eventually(lambda: public_url.seen("/agent/saves"))
        assert seen["token"] == "Bearer issued-1"
        assert archives.digest_of(seen["body"]) == seen["told"]["digest"]
        assert seen["told"]["session_id"] == "s1"
        assert seen["told"]["base"] == "0"
        assert 0 <= int(seen["told"]["played_s"]) <= console.session("s1")["played_s"]
        eventually(lambda: console.slot()["base"] == 8)
        assert console.waiting() == []

    @pytest.mark.parametrize("status", [400, 404, 413])
    def test_that_is_refused_is_left_for_who_fetches(
        self, make_console: Callable[..., Console], public_url: PublicUrl, status: int
    ) -> None:
        console = make_console(public_url.url)
        public_url.answers["saves"] = (status, b"{}")
        console.start()
        console.play()
        console.write("saved")
        eventually(lambda: [one for one in console.waiting() if one["is_refused"]])
        beats = len(public_url.seen("heartbeat"))
        eventually(lambda: len(public_url.seen("heartbeat")) > beats + 3)
        assert len(public_url.seen("/agent/saves")) == 1
        assert console.content(console.waiting()[0]) == {"zelda.srm": "saved"}

    @pytest.mark.parametrize(
        "answer", [(500, b"<html>"), (409, b"{}"), (200, b"{}"), (200, b'{"number": "1"}')]
    )
    def test_is_tried_again_after_anything_else(
        self, make_console: Callable[..., Console], public_url: PublicUrl, answer: tuple[int, bytes]
    ) -> None:
        console = make_console(public_url.url)
        public_url.answers["saves"] = answer
        console.start()
        console.play()
        console.write("saved")
        eventually(lambda: len(public_url.seen("/agent/saves")) > 1)
        public_url.answers["saves"] = (200, json.dumps({"number": 1, "is_current": True}).encode())
        eventually(lambda: console.slot()["base"] == 1)

    def test_of_one_that_finds_no_room_holds_up_no_other(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        console = make_console(public_url.url)
        public_url.answers["saves"] = (409, b"{}")
        console.start()
        console.play("large")
        console.write("large")
        eventually(lambda: public_url.seen("/agent/saves"))
        console.play("small", slot=OTHER, folder="/srv/gamer/saves/small")
        (console.folder / "root/srv/gamer/saves/small/small.srm").write_text("small")
        eventually(lambda: {one["told"]["session_id"] for one in public_url.seen("/agent/saves")} > {"large"})

    def test_registers_anew_when_its_token_is_refused(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        console = make_console(public_url.url, heartbeat_s=0.2)
        public_url.answers["saves"] = (401, b"{}")
        console.start()
        console.play()
        console.write("saved")
        eventually(lambda: len(public_url.seen("register")) > 1)


class TestPlaytime:
    def test_is_told_and_survives_the_agent(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        console = make_console(public_url.url)
        console.start()
        console.play()
        played = eventually(lambda: (so_far := console.session("s1")["played_s"]) >= 4 and so_far)
        seen_at = time.monotonic()
        console.stop(signal.SIGKILL)
        console.start()
        # What was counted and not written down yet is in it, and so is the time without an agent.
        eventually(
            lambda: console.session("s1")["played_s"] > played + time.monotonic() - seen_at - 2.5,
            timeout_s=60,
        )
        console.ask("DELETE", "/sessions/s1")
        told = eventually(
            lambda: [
                one["played_s"]
                for beat in public_url.seen("heartbeat")
                for one in beat["body"]["sessions"]
                if one["state"] == "ended"
            ]
        )
        assert told[-1] >= 3

    def test_begins_the_clock_where_the_order_says(self, console: Console) -> None:
        told = {"clock": 946_684_800, "clock_file": "/srv/gamer/apps/zelda/clock"}
        console.play(**told)
        clock = console.folder / "root/srv/gamer/apps/zelda/clock"
        assert clock.read_text() == "@2000-01-01 00:00:00\n"
