"""A machine that cannot be told of a game: how long its launch is tried, and that its end is never given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest

from tests.world import NOON
from vms import setup
from vms.lifecycle import Phase
from vms.models import VM, GameSession
from vms.providers.memory import MemoryCloud, MemoryProvider
from vms.reconcile.outcome import Subject
from vms.reconcile.steps import play

Status = GameSession.Status
RESET = setup.Unreachable("the connection was reset")
REFUSED = setup.AgentRefused(400, "no such thing")


class Shelled(MemoryProvider):
    has_shell = True


class Asked:
    """Has the machine answer every question with `error`, if there is one; runs the step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception = RESET
        monkeypatch.setattr(setup, "launch_game", self.answer)
        monkeypatch.setattr(setup, "end_session", self.answer)
        monkeypatch.setattr(play, "target_of", lambda subject: None)

    def answer(self, *_: object) -> NoReturn:
        raise self.error

    def run(self, *sessions: GameSession, ready_at: datetime, now: datetime) -> dict[Any, str]:
        """What becomes of which session."""
        vm = VM(phase=Phase.READY, phase_since=ready_at, console_id="switch")
        outcome = play.run(Subject(vm, None, [], sessions), Shelled(MemoryCloud()), now)
        assert outcome.vm["action_sent_at"] == now  # looked at before it is asked again
        return {change.session_id: change.status for change in outcome.sessions}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked(monkeypatch)
    monkeypatch.setattr(play, "_recipe", lambda subject, session: None)
    monkeypatch.setattr(play, "app_of", lambda recipe: {})
    monkeypatch.setattr(play, "save_of", lambda subject, recipe: None)
    return made


def session(status: str, *, age: timedelta, **columns: Any) -> GameSession:
    return GameSession(game_id="zelda", status=status, queued_at=NOON - age, **columns)


class TestALaunch:
    PATIENCE = timedelta(seconds=play.GIVE_UP_S)

    def test_has_its_patience_from_when_the_machine_could_first_be_asked(self, asked: Asked) -> None:
        queued = session(Status.QUEUED, age=timedelta(minutes=12))
        assert asked.run(queued, ready_at=NOON, now=NOON + self.PATIENCE) == {}
        late = NOON + self.PATIENCE + timedelta(seconds=1)
        assert asked.run(queued, ready_at=NOON, now=late) == {queued.pk: Status.FAILED}

    def test_on_a_machine_that_has_long_been_ready_has_it_from_when_it_was_asked_for(
        self, asked: Asked
    ) -> None:
        queued = session(Status.QUEUED, age=timedelta(0))
        long_ago = NOON - timedelta(hours=2)
        assert asked.run(queued, ready_at=long_ago, now=NOON + self.PATIENCE) == {}
        late = NOON + self.PATIENCE + timedelta(seconds=1)
        assert asked.run(queued, ready_at=long_ago, now=late) == {queued.pk: Status.FAILED}

    def test_that_is_refused_fails_at_once(self, asked: Asked) -> None:
        asked.error = REFUSED
        queued = session(Status.QUEUED, age=timedelta(0))
        assert asked.run(queued, ready_at=NOON, now=NOON) == {queued.pk: Status.FAILED}


class TestAnEnd:
    @pytest.mark.parametrize("error", [RESET, REFUSED], ids=["reset", "refused"])
    @pytest.mark.parametrize("status", [Status.LAUNCHED, Status.QUEUED])
    def test_is_asked_again_until_the_machine_was_told(
        self, asked: Asked, status: str, error: Exception
    ) -> None:
        """The game may play on: its slot is not free, whatever the network does."""
        asked.error = error
        ending = session(status, age=timedelta(hours=2), is_end_wanted=True)
        assert asked.run(ending, ready_at=NOON - timedelta(hours=3), now=NOON) == {}

    def test_that_cannot_be_asked_leaves_the_next_game_its_own_patience(self, asked: Asked) -> None:
        ending = session(Status.LAUNCHED, age=timedelta(hours=2), is_end_wanted=True)
        queued = session(Status.QUEUED, age=timedelta(seconds=play.GIVE_UP_S + 1))
        assert asked.run(ending, queued, ready_at=NOON - timedelta(hours=3), now=NOON) == {
            queued.pk: Status.FAILED
        }
