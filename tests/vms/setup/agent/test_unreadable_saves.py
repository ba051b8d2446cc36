"""Saves that cannot be read, or not now: they cost no other slot anything, are told, and are packed as soon as they can be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vms.setup.agent.running import full
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
