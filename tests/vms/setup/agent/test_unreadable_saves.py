"""Saves that cannot be read, or not now: they cost no other slot anything, are told, and are packed as soon as they can be."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vms.setup.agent.running import PublicUrl, full
from tests.vms.setup.agent.test_saves import OTHER, SLOT, Console, console, make_console
from tests.waiting import eventually

__all__ = ["console", "make_console"]
ELSEWHERE = "/srv/gamer/saves/other"


@contextmanager
def out_of_reach(place: Path) -> Iterator[None]:
    """Something lies there so deep that no path leads to it: looking fails, whoever looks."""
    names = ["deep" * 50] * 11
    beside, far = place.parent / "beside", place.joinpath(*names)
    beside.joinpath(*names).mkdir(parents=True)
    far.mkdir(parents=True)
    beside.rename(far / "further")
    yield
    shutil.rmtree(place / names[0])


@contextmanager
def shut(place: Path) -> Iterator[None]:
    """A file that nobody else can open without waiting for it: a lease of fcntl(2), made where nobody looks."""
    beside = place.parent.parent / "beside"
    with beside.open("w") as file:
        fcntl.fcntl(
            file, fcntl.F_SETSIG, signal.SIGURG
        )  # sent to the holder when somebody tries, and does nothing
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        beside.rename(place)
        yield


class TestUnreadable:
    def test_is_told_and_no_other_slot_hangs_on_it(self, console: Console) -> None:
        console.play()
        console.play("s2", slot=OTHER, folder=ELSEWHERE)
        with out_of_reach(console.saves):
            (console.folder / "root" / ELSEWHERE[1:] / "zelda.srm").write_text("well")
            eventually(lambda: console.slot(OTHER)["pending"])
            eventually(lambda: "File name too long" in console.slot()["error"])
            assert console.slot(OTHER)["error"] == ""
        console.write("well again")
        eventually(lambda: (len(console.slot()["pending"]), console.slot()["error"]) == (1, ""))

    def test_is_packed_once_it_can_be_though_nobody_writes_again(self, console: Console) -> None:
        console.play()
        with full(console.kept / f"outgoing/{SLOT}"):
            console.write("no room")
            eventually(lambda: "Is a directory" in console.slot()["error"])
        console.one("no room")
        assert console.slot()["error"] == ""

    def test_is_told_of_a_file_that_cannot_be_opened(self, console: Console) -> None:
        console.play()
        console.write("dear")
        console.one("dear")
        with shut(console.saves / "card.raw"):
            eventually(lambda: "temporarily unavailable" in console.slot()["error"])
        eventually(lambda: "card.raw" in console.content(console.waiting()[0]))
        assert console.slot()["error"] == ""

    def test_keeps_no_agent_from_starting(self, console: Console) -> None:
        console.play()
        console.stop(signal.SIGKILL)
        # Beside it, what a swap would leave there has a longer name than may be.
        far = {"slot": OTHER, "folder": f"/srv/gamer/saves/{'far' * 84}"}
        (console.kept / f"slots/{OTHER}.json").write_text(json.dumps(far))
        console.write("well")
        console.start()
        console.one("well")

    def test_holds_up_no_push_of_another_slot(
        self, make_console: Callable[..., Console], public_url: PublicUrl
    ) -> None:
        public_url.answers["saves"] = (500, b"")
        console = make_console(public_url.url, backoff_s=0.1)
        console.start()
        console.play()
        console.write("broken here")
        broken = console.one("broken here")
        console.play("s2", slot=OTHER, folder=ELSEWHERE)
        archive = console.kept / "outgoing" / f"{SLOT}-{broken['digest']}.tgz"
        archive.unlink()
        archive.mkdir()
        public_url.answers["saves"] = (200, b'{"number": 1, "is_current": true}')
        (console.folder / "root" / ELSEWHERE[1:] / "zelda.srm").write_text("well")
        eventually(lambda: console.slot(OTHER)["base"] == 1)
        assert [one["slot"] for one in console.waiting()] == [SLOT]
