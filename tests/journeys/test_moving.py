"""A player takes their VM along to another country, on the sandbox: real HTTP to the vendor, real SSH to both machines."""

from __future__ import annotations

import pytest

from accounts.principal import policy
from events.models import Event
from gamer.crash import Died, dying_at
from tests.journeys.conftest import SandboxPlane
from tests.vms.control_plane import story
from vms import moves
from vms.models import VM, Attempt
from vms.moves import Destination

GERMANY = Destination(region="Germany")


@pytest.fixture
def playing(city: SandboxPlane) -> VM:
    vm = city.until(city.launch(), "running")
    return city.play(vm)


def move(city: SandboxPlane, vm: VM, to: Destination = GERMANY) -> None:
    moves.move(vm=vm, to=to, by=policy("test"), now=city.clock())


def settled(city: SandboxPlane, vm: VM) -> VM:
    """Turns until it is clear what came of the move, and whatever was left behind is gone."""
    while not Event.objects.about("vms", vm.pk).filter(action__in=("moved", "move_refused")).exists():
        city.turn()
    city.until(vm, "running")
    city.settle(seconds=30, step=3)
    return vm


class TestMove:
    def test_ends_the_game_here_and_plays_it_there_on_one_machine(
        self, city: SandboxPlane, playing: VM
    ) -> None:
        before = playing.attempt
        move(city, playing)
        vm = city.play(settled(city, playing))
        assert vm.attempt.location_name.startswith("Frankfurt am Main"), story(vm)
        first, second = vm.sessions.order_by("queued_at")
        assert (first.status, first.error_text) == ("ended", "the machine is ending")
        assert (second.status, second.game_id) == ("launched", first.game_id)
        assert city.alive_tags() == {vm.attempt.tag}
        before.refresh_from_db()
        assert before.gone_at is not None

    def test_from_a_machine_that_does_not_answer_waits_for_its_save_and_no_longer(
        self, city: SandboxPlane, playing: VM
    ) -> None:
        city.control.kill_guest(playing.attempt.machine_id)
        move(city, playing)
        vm = settled(city, playing)
        assert Event.objects.about("vms", vm.pk).filter(action="save_at_risk").exists()
        assert vm.attempt.location_name.startswith("Frankfurt am Main"), story(vm)
        assert city.alive_tags() == {vm.attempt.tag}

    def test_that_comes_to_nothing_plays_on_where_it_was(self, city: SandboxPlane, playing: VM) -> None:
        before = playing.attempt_id
        city.control.fault("stale_offer")
        move(city, playing)
        vm = city.play(settled(city, playing))
        assert vm.attempt_id == before
        assert {one.error_class for one in Attempt.objects.filter(vm=vm).exclude(pk=before)} == {"NoCapacity"}
        assert vm.sessions.order_by("queued_at").last().status == "launched", story(vm)
        assert city.alive_tags() == {vm.attempt.tag}

    def test_survives_a_death_right_after_the_game_was_ended(self, city: SandboxPlane, playing: VM) -> None:
        move(city, playing)
        with pytest.raises(Died), dying_at("part.after_call"):
            city.settle(seconds=30)
        city.__post_init__()
        vm = city.play(settled(city, playing))
        assert vm.sessions.filter(status="launched").count() == 1, story(vm)
        assert city.alive_tags() == {vm.attempt.tag}
