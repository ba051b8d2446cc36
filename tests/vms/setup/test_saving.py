"""Saves over a real connection: brought when they are missing, fetched when they wait, whatever becomes of the connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulators import archives
from tests.vms.setup.agent.test_saves import FOLDER, SLOT, packed_of
from tests.vms.setup.looking import session_state
from tests.vms.setup.sshd import Machine
from tests.waiting import eventually
from vms.setup import (
    AgentRefused,
    PendingSave,
    Ready,
    SaveOrder,
    SessionOrder,
    SshError,
    StoredSave,
    collect_saves,
    launch_game,
    saving,
    set_up,
)
from vms.setup.agent.archive import EMPTY


class Store:
    """Our side: what is stored, and whether what a machine has is believed."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], StoredSave] = {}
        self.refuses = ""
        self.brought = 0

    def refuse(self, save: PendingSave, archive: bytes | None) -> str:
        if archive is not None:
            assert archives.digest_of(archive) == save.digest
        return self.refuses

    def keep(self, save: PendingSave, number: int) -> None:
        self.stored[save.slot, save.digest, save.base] = StoredSave(number, True)


def save_order(base: int = 0, digest: str = EMPTY) -> SaveOrder:
    return SaveOrder(SLOT, FOLDER, base, digest)


def order(session_id: str = "s1", save: SaveOrder | None = None) -> SessionOrder:
    return SessionOrder(session_id, "zelda", "switch", save=save or save_order())


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(autouse=True)
def _ready(machine: Machine) -> None:
    eventually(lambda: isinstance(set_up(machine.target(), lambda report: None), Ready), timeout_s=60)


def place(machine: Machine) -> Path:
    return machine.path(FOLDER[1:])


def write(machine: Machine, text: str) -> None:
    (place(machine) / "zelda.srm").write_text(text)


def play_two(machine: Machine) -> None:
    """Two games, each with its own slot, one after the other."""
    for number, slot in enumerate((SLOT, SLOT.replace("1", "2"))):
        wanted = SaveOrder(slot, f"/srv/gamer/saves/{number}", 0, EMPTY)
        launch_game(machine.target(), order(f"s{number}", wanted))
        (machine.path(f"srv/gamer/saves/{number}") / "a.srm").write_text(slot)


class TestLaunch:
    def test_brings_the_save_only_where_it_is_missing(
        self, machine: Machine, tmp_path: Path, store: Store
    ) -> None:
        digest, packed = packed_of(tmp_path / "elsewhere", {"zelda.srm": "from far"})

        def bring() -> bytes:
            store.brought += 1
            return packed

        launch_game(machine.target(), order(save=save_order(3, digest)), bring)
        assert (place(machine) / "zelda.srm").read_text() == "from far"
        launch_game(machine.target(), order("s2", save_order(3, digest)), bring)
        assert store.brought == 1
        assert session_state(machine.target(), "s1").state == "ended"

    def test_is_done_once_when_the_connection_dies_on_the_way(self, machine: Machine, tmp_path: Path) -> None:
        digest, packed = packed_of(tmp_path / "elsewhere", {"zelda.srm": "from far"})
        wanted = order(save=save_order(3, digest))

        def cut() -> bytes:
            machine.drop_connections()
            return packed

        with pytest.raises(SshError):
            launch_game(machine.target(), wanted, cut)
        launch_game(machine.target(), wanted, lambda: packed)
        eventually(lambda: session_state(machine.target(), "s1").state == "launched")
        assert len(machine.game_pids()) == 1
        assert (place(machine) / "zelda.srm").read_text() == "from far"

    def test_of_something_else_than_was_said_is_refused(self, machine: Machine, tmp_path: Path) -> None:
        packed = packed_of(tmp_path / "elsewhere", {"zelda.srm": "from far"})[1]
        with pytest.raises(AgentRefused, match="something else"):
            launch_game(machine.target(), order(save=save_order(3, "a" * 64)), lambda: packed)
        assert machine.game_pids() == []


class TestCollect:
    def test_fetches_what_waits_and_tells_what_is_stored(self, machine: Machine, store: Store) -> None:
        launch_game(machine.target(), order())
        write(machine, "one moon")
        first = collect_saves(machine.target(), store.stored, store.refuse, ending=["s1"], is_last=True)
        ((save, archive),) = first.fetched
        assert (save.slot, save.session_id, save.base, first.left) == (SLOT, "s1", 0, 0)
        assert [file.name for file in archives.files_in(archive)] == ["zelda.srm"]
        assert session_state(machine.target(), "s1").state == "ended"
        # Not stored yet: it is given again.
        assert collect_saves(machine.target(), store.stored, store.refuse).fetched == first.fetched
        store.keep(save, 7)
        assert collect_saves(machine.target(), store.stored, store.refuse).fetched == ()
        assert collect_saves(machine.target(), {}, store.refuse).agent.saves == ()

    def test_is_done_where_all_is_stored_and_the_machine_cannot_write_it_down(
        self, machine: Machine, store: Store
    ) -> None:
        """As on a full disk: nothing is lost by it, and nothing is waited for."""
        launch_game(machine.target(), order())
        write(machine, "one moon")
        first = collect_saves(machine.target(), store.stored, store.refuse, ending=["s1"], is_last=True)
        store.keep(first.fetched[0][0], 7)
        in_the_way = machine.path(f"var/lib/gamer/agent/saves/slots/{SLOT}.json.part")
        in_the_way.mkdir()
        collected = collect_saves(machine.target(), store.stored, store.refuse, is_last=True)
        assert (collected.fetched, collected.left, collected.unpacked) == ((), 0, ())
        in_the_way.rmdir()
        collect_saves(machine.target(), store.stored, store.refuse)
        assert collect_saves(machine.target(), {}, store.refuse).agent.saves == ()

    def test_survives_a_connection_that_dies_in_between(self, machine: Machine, store: Store) -> None:
        launch_game(machine.target(), order())
        write(machine, "one moon")

        def cut(save: PendingSave, archive: bytes | None) -> str:
            machine.drop_connections()
            return ""

        with pytest.raises(SshError):
            collect_saves(machine.target(), {}, cut, is_last=True)
        assert len(collect_saves(machine.target(), {}, store.refuse).fetched) == 1

    def test_keeps_what_it_has_when_the_next_one_cannot_be_had(self, machine: Machine, store: Store) -> None:
        play_two(machine)

        def cut(save: PendingSave, archive: bytes | None) -> str:
            if archive is not None:
                machine.drop_connections()
            return ""

        collected = collect_saves(machine.target(), {}, cut, is_last=True)
        assert (len(collected.fetched), collected.left) == (1, 1)

    def test_fetches_from_a_machine_whose_game_does_not_end(
        self, machine: Machine, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        launch_game(machine.target(), order())
        write(machine, "one moon")
        monkeypatch.setattr(saving, "END_S", 0.01)
        collected = collect_saves(machine.target(), {}, store.refuse, ending=["s1"], is_last=True)
        assert [save.session_id for save, _ in collected.fetched] == ["s1"]
        assert "took longer" in collected.unpacked[0]

    def test_has_what_is_not_believed_forgotten(self, machine: Machine, store: Store) -> None:
        launch_game(machine.target(), order())
        write(machine, "odd")
        store.refuses = "never seen"
        collected = collect_saves(machine.target(), {}, store.refuse, is_last=True)
        assert [why for _, why in collected.refused] == ["never seen"]
        assert collect_saves(machine.target(), {}, store.refuse).agent.saves == ()

    def test_takes_no_more_at_once_than_fits(
        self, machine: Machine, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(saving, "MAX_FETCHED", 1)
        play_two(machine)
        first = collect_saves(machine.target(), {}, store.refuse, is_last=True)
        assert (len(first.fetched), first.left) == (1, 1)
        store.keep(first.fetched[0][0], 1)
        second = collect_saves(machine.target(), store.stored, store.refuse)
        assert (len(second.fetched), second.left) == (1, 0)
        assert second.fetched != first.fetched

    @pytest.mark.parametrize("bound", ["MAX_FETCHED", "MOST"])
    def test_comes_to_all_however_many_are_never_taken(
        self, machine: Machine, store: Store, monkeypatch: pytest.MonkeyPatch, bound: str
    ) -> None:
        monkeypatch.setattr(saving, bound, 1)
        play_two(machine)
        collect_saves(machine.target(), {}, store.refuse, is_last=True)
        found: set[str] = set()

        def has_come_to_both() -> bool:
            fetched = collect_saves(machine.target(), {}, store.refuse).fetched
            found.update(save.slot for save, _ in fetched)
            return len(found) == 2

        eventually(has_come_to_both, timeout_s=90)  # each look begins with either

    def test_says_what_could_not_be_packed(self, machine: Machine, store: Store) -> None:
        launch_game(machine.target(), order())
        for number in range(4097):
            (place(machine) / str(number)).touch()
        collected = collect_saves(machine.target(), {}, store.refuse, is_last=True)
        assert collected.fetched == ()
        assert "more than 4096" in collected.unpacked[0]

    def test_fetches_what_is_packed_from_a_machine_that_packs_no_more(
        self, machine: Machine, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        launch_game(machine.target(), order())
        write(machine, "one moon")
        packed = collect_saves(machine.target(), {}, store.refuse, is_last=True)
        monkeypatch.setattr(saving, "FLUSH_S", 0.01)
        collected = collect_saves(machine.target(), {}, store.refuse, is_last=True)
        assert collected.fetched == packed.fetched
        assert "took longer" in collected.unpacked[0]
        # What was written since may be packed the next time: it is not taken for done.
        store.keep(collected.fetched[0][0], 1)
        with pytest.raises(SshError, match="took longer"):
            collect_saves(machine.target(), store.stored, store.refuse, is_last=True)
