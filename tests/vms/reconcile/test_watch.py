"""What a machine says of its games when it is asked over SSH: the guarantee, where no push ever arrives."""

from __future__ import annotations

import pytest

from accounts.principal import policy
from events.models import Event
from tests.vms.control_plane import ControlPlane, story
from vms import saves, services, setup
from vms.models import VM, GameSession, ProviderAccount
from vms.providers.memory import MemoryProvider
from vms.setup import AgentState, Collected, SessionState

GAME = "mario-odyssey"


class Shelled(MemoryProvider):
    has_shell = True


def says(monkeypatch: pytest.MonkeyPatch, *sessions: SessionState) -> None:
    """Has every machine that is asked say this of its games."""
    agent = AgentState("1", "vm1", "b", 1.0, False, None, sessions=sessions, is_playing=True)
    monkeypatch.setattr(setup, "collect_saves", lambda *_, **__: Collected(agent))


@pytest.fixture
def playing(lived: ControlPlane, running: VM) -> GameSession:
    """On a machine that can be asked over SSH, and tells nobody by itself."""
    ProviderAccount.objects.update(kind="tensordock")
    lived.reconciler.open_provider = lived.actor.open_provider = lambda account: Shelled(
        lived.clouds[account.pk]
    )
    return running.sessions.get(status="launched")


@pytest.mark.parametrize(("state", "why"), [("failed", "killed"), ("ended", "")])
def test_a_game_that_is_over_there_is_over(
    lived: ControlPlane,
    running: VM,
    playing: GameSession,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    why: str,
) -> None:
    """Its machine was started anew by its vendor, say: the slot is free, and the same game can be launched again."""
    elsewhere = SessionState("of-nobody", GAME, "failed")
    says(monkeypatch, elsewhere, SessionState(str(playing.pk), GAME, state, reason=why))
    lived.settle(seconds=100, step=5)
    playing.refresh_from_db()
    assert (playing.status, playing.error_text) == (state, why), story(running)
    assert Event.objects.about("vms", running.pk).filter(action=f"session_{state}").count() == 1
    assert playing.slot is not None
    assert saves.playing_on(playing.slot) is None
    again = services.play(vm=running, by=policy("test"), game_id=GAME, now=lived.now())
    assert again != playing


def test_a_game_that_runs_there_goes_on(
    lived: ControlPlane, running: VM, playing: GameSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, SessionState(str(playing.pk), GAME, "launched"))
    lived.settle(seconds=100, step=5)
    running.refresh_from_db()
    playing.refresh_from_db()
    assert running.watched_at is not None
    assert playing.status == "launched"
