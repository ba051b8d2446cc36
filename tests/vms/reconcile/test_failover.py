"""Providers broken in different ways, one after the other: a launch still arrives, and its attempts tell why each was left."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from rest_framework.test import APIClient

from tests.vms.breakage import BROKEN, STORY, WORKING, add_all, break_all, cloud_of
from tests.vms.control_plane import ControlPlane, prepare, story
from tests.world import Clock, World
from vms.lifecycle import MAX_ATTEMPTS, PLACING_S
from vms.models import VM, Attempt, ProviderAccount
from vms.providers.memory import Fault


@pytest.fixture
def plane(world: World, clock: Clock) -> ControlPlane:
    """Five accounts that are broken once their offers are known, and one in the end that works."""
    plane = prepare(clock)
    add_all(plane)
    break_all(plane)
    return plane


def told(vm: VM) -> list[tuple[str, str]]:
    return [(one.account.name, one.error_class) for one in Attempt.objects.filter(vm=vm).order_by("number")]


def arrive(plane: ControlPlane, vm: VM) -> VM:
    return plane.until(vm, "running", seconds=300)


class TestLaunch:
    def test_arrives_at_the_last_in_line_and_tells_why_each_other_was_left(
        self, plane: ControlPlane, world: World, as_alice: APIClient
    ) -> None:
        begun = plane.now()
        vm = arrive(plane, plane.launch(world.alice))
        assert told(vm) == STORY, story(vm)
        assert len(cloud_of(plane, WORKING).alive()) == 1
        shown = as_alice.get(f"/vms/{vm.pk}/attempts").json()
        assert [one["outcome"] for one in shown] == ["failed"] * 7 + ["won"]
        assert "the token is refused" in shown[0]["error"]["message"]
        assert all(one["error"]["message"] for one in shown[:-1])
        # Two leave an order's outcome open, and are waited for; the other five refusals cost a turn each.
        waits = [one.closed_at - one.sent_at for one in Attempt.objects.exclude(closed_at=None)]
        assert sorted(waits)[4] <= timedelta(seconds=1)
        assert plane.now() - begun - sum(waits, timedelta()) < timedelta(seconds=25)

    def test_of_the_next_player_passes_over_those_that_refused_us(
        self, plane: ControlPlane, world: World
    ) -> None:
        arrive(plane, plane.launch(world.alice))
        vm = arrive(plane, plane.launch(world.bob))
        names = [name for name, _ in told(vm)]
        assert names[-1] == WORKING
        assert not {"bad credentials", "quota"} & set(names)

    def test_deletes_what_a_silent_provider_made_after_all_once_it_speaks(
        self, plane: ControlPlane, world: World
    ) -> None:
        garbage = cloud_of(plane, "garbage")
        garbage.heal()
        garbage.switch_on(Fault.LOST_MADE, times=None)
        garbage.switch_on(Fault.INCOMPLETE_LIST, times=None)
        vm = arrive(plane, plane.launch(world.alice))
        assert told(vm) == STORY
        assert len(garbage.alive()) == 1
        for one in plane.clouds.values():
            one.heal()
        plane.settle(seconds=120, step=5)
        assert not garbage.alive()
        assert [one.account.name for one in Attempt.objects.held()] == [WORKING]


class TestWithNobodyLeft:
    def test_a_launch_is_given_up_with_what_everybody_said(self, plane: ControlPlane, world: World) -> None:
        ProviderAccount.objects.filter(name=WORKING).update(is_paused=True)
        vm = plane.until(plane.launch(world.alice), "terminating", seconds=3000, step=10)
        names = [name for name, _ in told(vm)]
        assert set(names) == set(BROKEN)
        assert len(names) == MAX_ATTEMPTS
        cloud_of(plane, "garbage").heal()  # until then nobody can prove that it made nothing
        plane.until(vm, "error", seconds=600, step=5)
        assert vm.error == "provider_unavailable"
        assert vm.error_text.startswith(f"{MAX_ATTEMPTS} orders failed. The last one: ")

    def test_no_order_is_made_after_the_launchs_own_deadline(self, plane: ControlPlane, world: World) -> None:
        """Two that take any order have more offers than an hour is long enough for."""
        two = list(BROKEN)[:2]
        ProviderAccount.objects.exclude(name__in=two).delete()
        for one in map(partial(cloud_of, plane), two):
            one.heal()
            one.switch_on(Fault.NEVER_RUNS, times=None)
        vm = plane.launch(world.alice)
        begun = plane.now()
        plane.until(vm, "error", seconds=PLACING_S + 1200, step=30)
        orders = Attempt.objects.filter(vm=vm).order_by("number")
        assert {one.error_class for one in orders} == {"Overdue"}
        assert {one.account.name for one in orders} == set(two)
        assert orders.last().created_at < begun + timedelta(seconds=PLACING_S)
        assert "orders failed" in vm.error_text
