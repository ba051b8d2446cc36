"""What a machine says of its games when it is asked over SSH: the guarantee, where no push ever arrives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from accounts.principal import policy
from events.models import Event
from gamer.sealed import Sealed
from tests.vms.control_plane import ControlPlane, story
from tests.vms.reconcile.shelled import ask_over_ssh
from tests.vms.setup.looking import session_state
from tests.vms.setup.sshd import Machine, end_group, started
from tests.waiting import eventually
from vms import saves, services
from vms.models import VM
from vms.setup import Ready, SessionOrder, Target, launch_game, set_up

GAME = "mario-odyssey"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with started(Machine(tmp_path)) as running:
        yield running


@pytest.fixture
def target(lived: ControlPlane, running: VM, machine: Machine) -> Target:
    """The VM's machine, set up, and its game launched there; it tells nobody by itself."""
    ask_over_ssh(lived, running, port=machine.port)
    target = replace(machine.target(), vm_id=str(running.pk))
    running.refresh_from_db()
    running.ssh_user, running.host_public_key = target.address.user, target.host_public_key
    running.ssh_private_key, running.agent_bootstrap = Sealed(target.private_key), Sealed(target.agent_token)
    running.save(update_fields=["ssh_user", "host_public_key", "ssh_private_key", "agent_bootstrap"])
    eventually(lambda: isinstance(set_up(target, lambda report: None), Ready), timeout_s=60)
    playing = running.sessions.get(status="launched")
    launch_game(target, SessionOrder(str(playing.pk), GAME, "switch"))
    return target


def test_a_game_that_is_over_there_is_over(
    lived: ControlPlane, running: VM, machine: Machine, target: Target
) -> None:
    """Its machine was started anew by its vendor, say: the slot is free, and the same game can be launched again."""
    playing = running.sessions.get(status="launched")
    lived.settle(seconds=100, step=5)
    running.refresh_from_db()
    playing.refresh_from_db()
    assert running.watched_at is not None
    assert playing.status == "launched", story(running)  # it plays there

    for pid in machine.game_pids():
        end_group(pid)
    over = ("ended", "failed")
    eventually(lambda: session_state(target, str(playing.pk)).state in over)
    told = session_state(target, str(playing.pk))
    lived.settle(seconds=100, step=5)
    playing.refresh_from_db()
    assert (playing.status, playing.error_text) == (told.state, told.reason), story(running)
    assert Event.objects.about("vms", running.pk).filter(action=f"session_{told.state}").count() == 1
    assert playing.slot is not None
    assert saves.playing_on(playing.slot) is None
    again = services.play(vm=running, by=policy("test"), game_id=GAME, now=lived.now())
    assert again != playing
