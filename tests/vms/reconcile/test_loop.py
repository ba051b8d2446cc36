"""A launch from the wish to the proven end, on the memory cloud."""

from __future__ import annotations

from accounts.principal import Principal
from events.models import Event
from tests.vms.control_plane import ControlPlane
from tests.world import World
from vms import services
from vms.models import Attempt, GameSession


class TestLaunch:
    def test_ends_ready_with_the_game_launched_on_the_nearest_capable_machine(
        self, plane: ControlPlane, world: World
    ) -> None:
        plane.turn()
        vm = plane.until(plane.launch(world.alice), "running", seconds=60)
        plane.settle(seconds=5)
        assert vm.attempt.location_name == "Joplin, Missouri, United States"
        assert vm.attempt.distance_km is not None
        assert vm.sessions.get().status == GameSession.Status.LAUNCHED
        assert len(plane.cloud.alive()) == 1

    def test_tells_its_story_in_events(self, plane: ControlPlane, world: World) -> None:
        plane.turn()
        vm = plane.until(plane.launch(world.alice), "running")
        plane.settle(seconds=5)
        told = list(Event.objects.about("vms", vm.pk).values_list("action", flat=True))
        assert told == [
            "create",
            "session_queued",
            "placed",
            "machine_ordered",
            "machine_running",
            "power_on",
            "session_launched",
        ]

    def test_ends_terminated_only_when_the_machine_is_gone(self, plane: ControlPlane, world: World) -> None:
        plane.turn()
        vm = plane.until(plane.launch(world.alice), "running")
        services.destroy(vm=vm, by=Principal(user=world.alice), now=plane.clock())
        vm.refresh_from_db()
        assert vm.status == "terminating"
        plane.until(vm, "terminated", seconds=60)
        assert not plane.cloud.alive()
        assert Attempt.objects.get().gone_at is not None
