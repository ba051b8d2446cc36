"""An agent that says what no agent of ours would: the machine is a player's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.vms.setup.looking import look_at
from tests.vms.setup.sshd import Machine
from vms.setup import AgentRefused, AgentSilent, SessionOrder, collect_saves, launch_game, saving
from vms.setup.site import PROGRAM

SESSION = {
    "session_id": "s1", "game_id": "zelda", "state": "launched", "exit_code": None, "launched_at": None, "ended_at": None,
    "reason": "", "log_tail": "", "played_s": 1.5,
}  # fmt: skip
SAVE = {"slot": "a", "session_id": "s1", "base": 0, "digest": "0" * 64, "size": 3, "played_s": 1.5}
Says = Callable[..., None]


def state(save: dict[str, Any] | None = None, **told: Any) -> dict[str, Any]:
    saves = [{"pending": [{**SAVE, **(save or {})}], "error": ""}]
    known = {"version": "1", "vm_id": "vm1", "boot_id": "b", "uptime_s": 1.0, "is_registered": True}
    return {**known, "last_heartbeat": None, "sessions": [SESSION], "saves": saves, "activity": None, **told}


@pytest.fixture
def says(machine: Machine) -> Says:
    """Has the machine's agent answer so, whatever it is asked."""

    def answer(body: object, status: object = 200, text: str = "") -> None:
        program = machine.path(PROGRAM[1:])
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"print({text or json.dumps({'status': status, 'body': body})!r})")

    return answer


class TestState:
    def test_is_taken_when_it_is_sensible(self, machine: Machine, says: Says) -> None:
        says(state(activity={"is_playing": False, "idle_s": 4}))
        agent = look_at(machine.target())
        assert (agent.is_playing, agent.idle_s) == (False, 4)
        assert [save.played_s for save in agent.saves] == [1.5]

    @pytest.mark.parametrize(
        "told",
        [
            {"activity": [1]},
            {"activity": {"is_playing": "no"}},
            {"activity": {"is_playing": False, "idle_s": float("nan")}},
            {"activity": {"is_playing": False, "idle_s": "long"}},
            {"uptime_s": float("inf")},
            {"vm_id": None},
            {"sessions": [{**SESSION, "reason": None}]},
            {"sessions": [{**SESSION, "state": "asleep"}]},
            {"sessions": [{**SESSION, "played_s": -1}]},
            *({"save": {"played_s": one}} for one in (float("nan"), float("inf"), 1e12, -1, "3", True)),
            *({"save": {"base": one}} for one in (1.5, -1, 2**31, 10**400)),
            {"save": {"size": float("inf")}},
            {"save": {"slot": "a" * 1000}},
            {"save": {"digest": 7}},
        ],
    )
    def test_is_none_when_a_part_is_not_what_it_should_be(
        self, machine: Machine, says: Says, told: dict[str, Any]
    ) -> None:
        says(state(**told))
        with pytest.raises(AgentSilent):
            look_at(machine.target())

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"status": Infinity, "body": {}}', '{"status": 200}'])
    def test_is_none_when_it_is_no_answer(self, machine: Machine, says: Says, text: str) -> None:
        says(None, text=text)
        with pytest.raises(AgentSilent):
            look_at(machine.target())


class TestSaves:
    @pytest.mark.parametrize(
        ("bounds", "asked"), [({"MOST": 3}, 3), ({"LOOK_S": 0}, 1)], ids=["number", "time"]
    )
    def test_are_gone_through_a_few_at_a_time(
        self,
        machine: Machine,
        says: Says,
        monkeypatch: pytest.MonkeyPatch,
        bounds: dict[str, int],
        asked: int,
    ) -> None:
        """A thousand that are none would keep a worker for hours."""
        for name, bound in bounds.items():
            monkeypatch.setattr(saving, name, bound)
        says(state(saves=[{"pending": [SAVE] * 1000, "error": ""}]))
        program, log = machine.path(PROGRAM[1:]), machine.path("asked")
        program.write_text(f"open({str(log)!r}, 'a').write('.')\n{program.read_text()}")
        collected = collect_saves(machine.target(), {}, lambda save, archive: "never seen")
        assert (len(collected.refused), collected.left) == (asked, 1000 - asked)
        assert log.stat().st_size == 1 + asked  # its state first


class TestTexts:
    """PostgreSQL stores neither NUL nor half a surrogate pair."""

    def test_of_a_session_can_be_stored_and_read(self, machine: Machine, says: Says) -> None:
        says({**SESSION, "state": "failed", "reason": "no\x00 way \ud800" + "!" * 1000})
        session = launch_game(machine.target(), SessionOrder("s1", "zelda", "switch"))
        assert session.reason.startswith("no\ufffd way ?!")
        assert len(session.reason) == 500

    def test_of_a_refusal_can_be_stored_and_read(self, machine: Machine, says: Says) -> None:
        says({"error": "no\x00" + "!" * 1000}, status=400)
        with pytest.raises(AgentRefused) as refused:
            launch_game(machine.target(), SessionOrder("s1", "zelda", "switch"))
        assert "\x00" not in str(refused.value)
        assert len(str(refused.value)) < 600

    def test_of_a_folder_that_could_not_be_packed_can_be_stored(self, machine: Machine, says: Says) -> None:
        says(state(saves=[{"pending": [], "error": "full\x00"}]))
        assert collect_saves(machine.target(), {}, lambda save, archive: "").unpacked == ("full\ufffd",)

    def test_of_an_agent_that_breaks_can_be_stored(self, machine: Machine, says: Says) -> None:
        says(None)
        program = machine.path(PROGRAM[1:])
        program.write_text("import sys; sys.exit('no\\x00')")
        with pytest.raises(AgentSilent) as silent:
            look_at(machine.target())
        assert "\x00" not in str(silent.value)
