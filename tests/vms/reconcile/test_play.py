"""A machine that cannot be told of a game: how long its launch is tried, and that its end is never given up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.principal import policy
from tests.vms.control_plane import ControlPlane, story
from tests.vms.reconcile.shelled import ask_over_ssh
from tests.vms.setup.sshd import Machine, started
from vms import services
from vms.models import VM, GameSession
from vms.reconcile.steps.play import GIVE_UP_S


@pytest.fixture
def unreached(lived: ControlPlane, running: VM) -> VM:
    ask_over_ssh(lived, running)
    return running


@pytest.fixture
def foreign(lived: ControlPlane, running: VM, tmp_path: Path) -> Iterator[VM]:
    """At its address answers a machine with another host key: that never gets better."""
    with started(Machine(tmp_path)) as machine:
        ask_over_ssh(lived, running, port=machine.port)
        yield running


def launch(plane: ControlPlane, vm: VM, *, age: timedelta = timedelta(0)) -> GameSession:
    """A game asked for so long ago."""
    asked = services.play(vm=vm, by=policy("test"), game_id="zelda", now=plane.now())
    GameSession.objects.filter(pk=asked.pk).update(queued_at=plane.now() - age)
    return asked


def becomes(plane: ControlPlane, session: GameSession, *, seconds: float) -> str:
    plane.settle(seconds=seconds, step=5)
    session.refresh_from_db()
    return session.status


class TestALaunch:
    @pytest.mark.parametrize(
        ("asked", "ready"),
        [(timedelta(minutes=12), timedelta(0)), (timedelta(0), timedelta(hours=1))],
        ids=["made slowly", "ready for long"],
    )
    def test_has_its_patience_from_when_the_machine_could_first_be_asked(
        self, lived: ControlPlane, unreached: VM, asked: timedelta, ready: timedelta
    ) -> None:
        VM.objects.filter(pk=unreached.pk).update(phase_since=lived.now() - ready)
        queued = launch(lived, unreached, age=asked)
        assert becomes(lived, queued, seconds=GIVE_UP_S - 10) == "queued", story(unreached)
        assert becomes(lived, queued, seconds=60) == "failed"
        assert queued.error_text

    def test_that_can_never_be_asked_for_fails_at_once(self, lived: ControlPlane, foreign: VM) -> None:
        assert becomes(lived, launch(lived, foreign), seconds=15) == "failed"


class TestAnEnd:
    @pytest.mark.parametrize("machine", ["unreached", "foreign"])
    def test_is_asked_again_until_the_machine_was_told(
        self, lived: ControlPlane, running: VM, machine: str, request: pytest.FixtureRequest
    ) -> None:
        """The game may play on: its slot is not free, whatever the network does."""
        request.getfixturevalue(machine)
        ending = running.sessions.get(status="launched")
        GameSession.objects.filter(pk=ending.pk).update(queued_at=lived.now() - timedelta(hours=2))
        services.end_session(session=ending, by=policy("test"), now=lived.now())
        assert becomes(lived, ending, seconds=GIVE_UP_S + 60) == "launched"
        assert ending.is_end_wanted
        queued = launch(lived, running, age=timedelta(0))
        assert becomes(lived, queued, seconds=GIVE_UP_S + 60) == "failed"  # of its own patience
        ending.refresh_from_db()
        assert (ending.status, ending.is_end_wanted) == ("launched", True)
