from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import DepartmentRole, Project, User
from accounts.principal import Principal, policy
from billing.budgets import rows
from billing.budgets.rows import Step, Target
from billing.models import Budget
from billing.services import credits
from events.models import Event
from gamer.errors import Conflict, NoCapacity
from tests.billing.usage import of, used
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import NOON, Clock, World
from vms import services, spending
from vms.lifecycle import Desired, Phase
from vms.models import VM

pytestmark = pytest.mark.django_db
OURS = policy("test")
STOPS, BLOCKS = Step(100, stops_vms=True), Step(100, blocks_launches=True)


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    plane = prepare(clock)
    plane.turn()
    return plane


def budget(clock: Clock, step: Step, by: Principal = OURS, **target: Any) -> Budget:
    wish = {"name": "Pocket money", "limit_usd": Decimal(10), "thresholds": [step]}
    return rows.create(by=by, now=clock.now, target=Target(**target), **wish).budget


def spend(clock: Clock, user: User | None, usd: str, **where: Any) -> None:
    start = clock.now - timedelta(hours=2)
    used(of(user, **where), start, start + timedelta(hours=1), cost=usd, charge=usd)


def joins(world: World, person: User) -> User:
    """The person as one of Arcade's, with credit."""
    joined = {"department": world.arcade, "department_role": DepartmentRole.MEMBER}
    User.objects.filter(pk=person.pk).update(**joined)
    by = Principal(user=world.sam)
    credits.change(by=by, owner=person, usd=Decimal(100), reason="A gift", now=NOON)
    return User.objects.get(pk=person.pk)


class TestLaunch:
    def test_is_refused_with_the_budgets_name(self, world: World, plane: ControlPlane, clock: Clock) -> None:
        budget(clock, BLOCKS, user=world.alice)
        plane.launch(world.bob)
        spend(clock, world.alice, "10")
        plane.turn(16)
        plane.turn()
        with pytest.raises(Conflict, match="Pocket money") as caught:
            plane.launch(world.alice)
        assert caught.value.details == {"budget": ["Pocket money"]}
        assert not VM.objects.filter(owner=world.alice).exists()
        plane.launch(world.bob, console="snes")

    def test_is_let_in_again_once_the_limit_is_raised(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        spend(clock, world.alice, "10")
        one = budget(clock, BLOCKS, department=world.arcade)
        with pytest.raises(Conflict):
            plane.launch(world.bob)
        rows.change(by=policy("test"), budget=one, now=clock.now, limit_usd=Decimal(20))
        plane.launch(world.bob)

    def test_goes_to_another_provider_or_says_why_it_cannot(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        spend(clock, world.alice, "10", provider="memory")
        budget(clock, BLOCKS, provider="memory")
        with pytest.raises(NoCapacity) as caught:
            plane.launch(world.alice)
        assert "budget" in caught.value.details["memory"][0]

    def test_waits_when_the_budget_was_crossed_after_the_order(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        vm = plane.launch(world.alice)
        spend(clock, world.alice, "10", provider="memory")
        budget(clock, BLOCKS, provider="memory")
        plane.settle(seconds=20)
        vm.refresh_from_db()
        assert vm.phase == Phase.REQUESTED
        assert not vm.attempts.exists()

    def test_of_a_stopped_vm_is_refused_too(self, world: World, plane: ControlPlane, clock: Clock) -> None:
        vm = plane.until(plane.launch(world.alice), "running")
        services.stop(vm=vm, by=Principal(user=world.alice), now=clock.now)
        plane.until(vm, "stopped")
        spend(clock, world.alice, "10")
        budget(clock, BLOCKS, user=world.alice)
        with pytest.raises(Conflict):
            services.start(vm=vm, by=Principal(user=world.alice), now=clock.now)

    @pytest.mark.parametrize("covers", ["project", "department"])
    def test_in_a_project_is_not_had_by_moving_a_vm_there(
        self, world: World, plane: ControlPlane, clock: Clock, covers: str
    ) -> None:
        vm, by = plane.launch(world.charlie), Principal(user=world.charlie)
        within = world.arcade if covers == "department" else None
        project = Project.objects.create(name="Zelda", owner=world.charlie, department=within)
        spend(clock, world.alice if within else world.charlie, "10", project=project)
        budget(clock, BLOCKS, **({"department": within} if within else {"project": project}))
        with pytest.raises(Conflict, match="Pocket money"):
            services.change(vm=vm, by=by, now=clock.now, project_id=project.pk, name="Mine")
        vm.refresh_from_db()
        assert (vm.project_id, vm.name == "Mine") == (None, False)
        services.destroy(vm=vm, by=by, now=clock.now)
        assert services.change(vm=vm, by=by, now=clock.now, project_id=project.pk).project_id == project.pk


class TestStopping:
    def test_ends_running_vms_within_a_minute_of_the_crossing(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        budget(clock, STOPS, user=world.alice)
        mine, other = plane.launch(world.alice), plane.launch(world.bob)
        plane.until(mine, "running")
        plane.until(other, "running")
        spend(clock, world.alice, "10")
        crossed_at = clock.now
        while VM.objects.get(pk=mine.pk).desired == Desired.RUNNING:
            assert clock.now - crossed_at < timedelta(seconds=60)
            plane.turn()
        plane.until(mine, "stopped")
        other.refresh_from_db()
        assert other.status == "running"
        event = Event.objects.get(action="budget_stop")
        assert (event.resource_id, event.details) == (
            str(mine.pk),
            {"budget": "Pocket money", "percent": 100, "then": "stop"},
        )

    def test_ends_what_is_still_being_made(self, world: World, plane: ControlPlane, clock: Clock) -> None:
        vm = plane.launch(world.alice)
        spend(clock, world.alice, "10")
        budget(clock, STOPS)
        assert spending.enforce(clock.now) == 1
        plane.until(vm, "terminated")

    def test_gives_back_a_machine_that_is_dear_to_keep(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        plane.cloud.stopped_share = Decimal("0.26")
        vm = plane.until(plane.launch(world.alice), "running")
        spend(clock, world.alice, "10")
        budget(clock, STOPS, user=world.alice)
        plane.until(vm, "terminated")

    def test_is_made_up_by_the_next_look(self, world: World, plane: ControlPlane, clock: Clock) -> None:
        """Whoever wrote the crossing may have died before it ended anything."""
        vm = plane.until(plane.launch(world.alice), "running")
        spend(clock, world.alice, "10")
        budget(clock, STOPS, user=world.alice)
        assert spending.enforce(clock.now) == 1
        assert spending.enforce(clock.now) == 0
        vm.refresh_from_db()
        assert vm.desired == Desired.STOPPED
        assert Event.objects.filter(action="budget_stop").count() == 1

    @pytest.mark.parametrize("covers", ["everything", "provider", "project", "department", "user"])
    def test_reaches_exactly_what_the_budget_covers(
        self, world: World, plane: ControlPlane, clock: Clock, covers: str
    ) -> None:
        vm = plane.launch(world.alice)
        plane.launch(world.charlie)
        plane.settle(seconds=30)
        project = Project.objects.create(name="Zelda", owner=world.alice, department=world.arcade)
        VM.objects.filter(pk=vm.pk).update(project=project)
        targets: dict[str, tuple[dict[str, Any], int]] = {
            "everything": ({}, 2),
            "provider": ({"provider": "memory"}, 2),
            "project": ({"project": project}, 1),
            "department": ({"department": world.arcade}, 1),
            "user": ({"user": world.charlie}, 1),
        }
        target, count = targets[covers]
        assert spending.covered(budget(clock, STOPS, **target)).count() == count

    def test_of_a_departments_budget_spares_a_persons_vms_from_before(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        before = plane.launch(world.charlie)
        spend(clock, world.charlie, "10")
        charlie = joins(world, world.charlie)
        budget(clock, STOPS, Principal(user=world.mona), user=charlie)
        assert spending.enforce(clock.now) == 0
        within = plane.launch(charlie, console="snes")
        spend(clock, charlie, "10")
        clock.advance(seconds=16)
        spending.watch_budgets(clock.now)
        found = [VM.objects.get(pk=one.pk).desired for one in (before, within)]
        assert found == [Desired.RUNNING, Desired.GONE]
        with pytest.raises(Conflict, match="Pocket money"):
            plane.launch(charlie, console="nes")

    def test_of_a_departments_budget_lets_a_vm_from_before_start_again(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        vm = plane.until(plane.launch(world.charlie), "running")
        services.stop(vm=vm, by=Principal(user=world.charlie), now=clock.now)
        plane.until(vm, "stopped")
        charlie = joins(world, world.charlie)
        spend(clock, charlie, "10")
        budget(clock, STOPS, Principal(user=world.mona), user=charlie)
        services.start(vm=vm, by=Principal(user=charlie), now=clock.now)
        with pytest.raises(Conflict, match="Pocket money"):
            plane.launch(charlie, console="snes")


class TestUnprovenDeletes:
    def test_cost_money_that_the_front_page_shows(
        self, world: World, plane: ControlPlane, clock: Clock
    ) -> None:
        vm = plane.until(plane.launch(world.alice), "running")
        assert spending.unproven_deletes(clock.now) == (0, 0)
        VM.objects.filter(pk=vm.pk).update(phase=Phase.DELETING, desired=Desired.GONE, phase_since=clock.now)
        later = clock.now + timedelta(hours=1)
        count, usd = spending.unproven_deletes(later)
        assert count == 1
        assert usd > 0
