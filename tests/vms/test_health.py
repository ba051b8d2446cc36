"""What `/health?full=1` looks at in this app."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.vms.control_plane import ControlPlane
from tests.world import World
from vms import health
from vms.models import VM, ProviderAccount

LONG = timedelta(minutes=5)


def problems(plane: ControlPlane) -> dict[str, str]:
    return {part.name: part.problem for part in health.parts(plane.clock()) if part.problem}


@pytest.fixture
def vm(plane: ControlPlane, world: World) -> VM:
    plane.turn()
    return plane.until(plane.launch(world.alice), "running")


class TestParts:
    def test_are_all_well_while_the_loop_turns(self, plane: ControlPlane, vm: VM) -> None:
        names = [part.name for part in health.parts(plane.clock())]
        assert names == ["reconciler", "leases", "provider memory"]
        assert problems(plane) == {}

    def test_tell_of_a_vm_that_nobody_looks_at(self, plane: ControlPlane, vm: VM) -> None:
        VM.objects.update(next_look_at=plane.clock() - LONG)
        assert problems(plane) == {"reconciler": "a VM has waited for its look for 300 s"}

    def test_tell_of_a_lease_that_ran_out(self, plane: ControlPlane, vm: VM) -> None:
        VM.objects.update(lease_until=plane.clock() - LONG, next_look_at=plane.clock())
        assert problems(plane) == {"leases": "a lease ran out and nobody took the VM over for 300 s"}

    def test_leave_alone_who_is_being_worked_on(self, plane: ControlPlane, vm: VM) -> None:
        VM.objects.update(
            next_look_at=plane.clock() - LONG, lease_until=plane.clock() + timedelta(seconds=20)
        )
        assert problems(plane) == {}

    def test_forget_ended_vms(self, plane: ControlPlane, vm: VM) -> None:
        VM.objects.update(phase="deleted", next_look_at=None, lease_until=plane.clock() - LONG)
        assert problems(plane) == {}

    @pytest.mark.parametrize(
        ("columns", "problem"),
        [
            ({"paused_until": LONG, "paused_why": "BadCredentials: token xyz"}, "paused: BadCredentials"),
            (
                {"failures_in_a_row": 5, "last_error_at": timedelta(0), "last_error": "Unavailable: 502 xyz"},
                "failing: Unavailable",
            ),
            ({"offers_refreshed_at": -timedelta(hours=1)}, "failing: no offers lately"),
        ],
    )
    def test_tell_of_a_provider_by_the_class_of_its_error_only(
        self, plane: ControlPlane, vm: VM, columns: dict[str, object], problem: str
    ) -> None:
        moments = {
            name: plane.clock() + value if isinstance(value, timedelta) else value
            for name, value in columns.items()
        }
        ProviderAccount.objects.update(**moments)
        assert problems(plane) == {"provider memory": problem}

    def test_take_a_pause_by_staff_for_no_fault(self, plane: ControlPlane, vm: VM) -> None:
        ProviderAccount.objects.update(is_paused=True)
        assert problems(plane) == {}

    def test_take_two_queries(self, plane: ControlPlane, vm: VM, django_assert_num_queries) -> None:
        plane.add_account("second")
        with django_assert_num_queries(2):
            list(health.parts(plane.clock()))


class TestEndpoint:
    def test_names_the_part_that_is_not_well(self, plane: ControlPlane, vm: VM, as_sam) -> None:
        VM.objects.update(next_look_at=timezone.now() - LONG)
        ProviderAccount.objects.update(offers_refreshed_at=timezone.now())
        answer = as_sam.get("/health?full=1")
        assert answer.status_code == 503
        assert "reconciler" in answer.json()["error"]["details"]
        assert answer.json()["parts"]["provider memory"]["figures"]["condition"] == "healthy"
