"""What a quota counts, whom it refuses, and in which words."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from accounts import projects
from accounts.models import Department, Project, User
from accounts.principal import Principal, policy
from billing.models import Margin
from events.models import Event
from gamer.errors import Conflict, PermissionDenied, ValidationError
from tests.factories import ProjectFactory, QuotaFactory
from tests.vms.control_plane import ControlPlane
from tests.world import World
from vms import quotas, services
from vms.lifecycle import TERMINAL, Desired, Phase
from vms.models import VM, Attempt
from vms.quotas import Use
from vms.services import Launched, Order

CONSOLES = ("snes", "nes", "gb", "gbc", "gba")


@pytest.fixture
def plane(plane: ControlPlane) -> ControlPlane:
    plane.turn()
    plane.turn()
    return plane


def launch(plane: ControlPlane, owner: User, console: str = "snes", **wish: object) -> Launched:
    order = Order(console=console, game_id="zelda", **wish)  # type: ignore[arg-type]
    return services.launch_game(by=Principal(user=owner), owner=owner, order=order, now=plane.clock())


def put(vm: VM, desired: Desired, phase: Phase) -> VM:
    """Moves a row to a state as if by history."""
    at = None if phase in TERMINAL else timezone.now()
    error = "lost" if phase is Phase.FAILED else ""
    VM.objects.filter(pk=vm.pk).update(desired=desired, phase=phase, error=error, next_look_at=at)
    vm.refresh_from_db()
    return vm


def refusal(plane: ControlPlane, owner: User, console: str, **wish: object) -> dict[str, list[str]]:
    before = VM.objects.count()
    with pytest.raises(Conflict) as refused:
        launch(plane, owner, console, **wish)
    assert VM.objects.count() == before
    return refused.value.details


class TestLimits:
    def test_name_the_limit_the_number_and_whose_it_is(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(user=world.alice, max_vms=1)
        launch(plane, world.alice, "snes")
        text = "The user alice@gamer.test may have 1 VMs at once and has 1."
        assert refusal(plane, world.alice, "nes") == {"max_vms": [text]}

    def test_of_a_user_hold_for_them_alone(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(user=world.alice, max_vms=0)
        assert "max_vms" in refusal(plane, world.alice, "snes")
        assert launch(plane, world.bob, "snes").is_new

    def test_of_a_department_count_all_its_people(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(department=world.arcade, max_vms=2)
        launch(plane, world.alice, "snes")
        launch(plane, world.bob, "snes")
        assert "The department Arcade" in str(refusal(plane, world.mona, "snes"))
        assert launch(plane, world.charlie, "snes").is_new

    def test_of_a_department_count_what_its_keys_made_for_nobody(
        self, plane: ControlPlane, world: World
    ) -> None:
        QuotaFactory(department=world.arcade, max_vms=1)
        by = Principal(user=world.sam, key=world.service_key)
        services.create(by=by, owner=None, order=Order("snes"), now=plane.clock())
        assert "max_vms" in refusal(plane, world.alice, "snes")
        with pytest.raises(Conflict):
            services.create(by=by, owner=None, order=Order("snes"), now=plane.clock())

    def test_of_a_project_count_its_own_only(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(project=world.tournament, max_vms=1)
        launch(plane, world.alice, "snes", project_id=world.tournament.pk)
        assert "The project Tournament" in str(
            refusal(plane, world.bob, "snes", project_id=world.tournament.pk)
        )
        assert launch(plane, world.bob, "snes").is_new

    def test_on_gpus_let_machines_without_one_pass(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(user=world.alice, max_gpu_vms=1)
        launch(plane, world.alice, "switch")
        assert "max_gpu_vms" in refusal(plane, world.alice, "3ds")
        assert launch(plane, world.alice, "snes").is_new

    def test_on_dollars_count_the_quote_before_a_machine_and_the_price_after(
        self, plane: ControlPlane, world: World
    ) -> None:
        first = launch(plane, world.alice, "snes").vm
        quoted = first.quoted_usd_per_hour
        assert quoted is not None
        assert quotas.uses("user", [world.alice.pk])[world.alice.pk] == Use(1, 0, quoted)
        QuotaFactory(user=world.alice, max_usd_per_hour=quoted + Decimal("0.001"))
        assert "max_usd_per_hour" in refusal(plane, world.alice, "nes")
        plane.until(first, "running")
        paid = Attempt.objects.get(vm=first).usd_per_hour
        assert quotas.uses("user", [world.alice.pk])[world.alice.pk].usd_per_hour == paid

    def test_on_dollars_let_in_what_costs_just_as_much(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(user=world.alice, max_usd_per_hour=Decimal("0.443"))
        assert launch(plane, world.alice, "switch").vm.quoted_usd_per_hour == Decimal("0.443")

    def test_that_are_empty_limit_nothing(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(user=world.alice)
        for console in CONSOLES:
            assert launch(plane, world.alice, console).is_new

    def test_do_not_keep_a_player_from_the_vm_that_lives(self, plane: ControlPlane, world: World) -> None:
        vm = launch(plane, world.alice, "snes").vm
        QuotaFactory(user=world.alice, max_vms=0)
        assert launch(plane, world.alice, "snes").vm.pk == vm.pk


class TestCount:
    @pytest.mark.parametrize("phase", list(Phase))
    @pytest.mark.parametrize("desired", list(Desired))
    def test_is_of_vms_that_nobody_has_ended(
        self, plane: ControlPlane, world: World, desired: Desired, phase: Phase
    ) -> None:
        vm = put(launch(plane, world.alice, "switch").vm, desired, phase)
        used = quotas.uses("user", [world.alice.pk]).get(world.alice.pk, Use())
        is_held = phase not in TERMINAL and desired is not Desired.GONE
        is_active = is_held and (desired, phase) != (Desired.STOPPED, Phase.STOPPED)
        assert vm.quoted_usd_per_hour
        price = vm.quoted_usd_per_hour if is_active else Decimal(0)
        assert used == Use(int(is_held), int(is_active), price)


class TestStart:
    def stopped(self, plane: ControlPlane, world: World) -> VM:
        return put(launch(plane, world.alice, "switch").vm, Desired.STOPPED, Phase.STOPPED)

    @pytest.mark.parametrize(("limit", "name"), [(0, "max_gpu_vms"), (Decimal("0.01"), "max_usd_per_hour")])
    def test_asks_as_a_launch_does(self, plane: ControlPlane, world: World, limit: object, name: str) -> None:
        vm = self.stopped(plane, world)
        QuotaFactory(user=world.alice, **{name: limit})
        with pytest.raises(Conflict) as refused:
            services.start(vm=vm, by=Principal(user=world.alice), now=plane.clock())
        assert list(refused.value.details) == [name]
        assert list(refusal(plane, world.alice, "switch")) == [name]
        vm.refresh_from_db()
        assert (vm.desired, vm.phase) == ("stopped", "stopped")

    def test_counts_the_vm_itself_once(self, plane: ControlPlane, world: World) -> None:
        vm = self.stopped(plane, world)
        QuotaFactory(user=world.alice, max_vms=1, max_gpu_vms=1)
        services.start(vm=vm, by=policy("test"), now=plane.clock())
        assert VM.objects.get(pk=vm.pk).desired == "running"


class TestRetry:
    def test_asks_as_a_launch_does(self, plane: ControlPlane, world: World) -> None:
        vm = put(launch(plane, world.alice, "switch").vm, Desired.GONE, Phase.FAILED)
        quota = QuotaFactory(user=world.alice, max_vms=0)
        with pytest.raises(Conflict):
            services.retry(vm=vm, by=Principal(user=world.alice), now=plane.clock())
        assert VM.objects.get(pk=vm.pk).phase == "failed"
        quota.delete()
        services.retry(vm=vm, by=Principal(user=world.alice), now=plane.clock())
        assert VM.objects.get(pk=vm.pk).phase == "requested"


class TestPlacement:
    def test_of_something_dearer_than_quoted_asks_again(self, plane: ControlPlane, world: World) -> None:
        """The launch was let in at the price of the cheapest offer; that one is gone when it is placed."""
        vm = launch(plane, world.alice, "switch").vm
        assert vm.quoted_usd_per_hour
        VM.objects.filter(pk=vm.pk).update(quoted_usd_per_hour=Decimal("0.001"))
        QuotaFactory(user=world.alice, max_usd_per_hour=Decimal("0.002"))
        plane.settle(seconds=30)
        vm.refresh_from_db()
        assert not Attempt.objects.filter(vm=vm).exists()
        assert "would pass a quota of the player, the project or the department" in vm.error_text

    def test_counts_what_the_customer_pays_for_it(self, plane: ControlPlane, world: World) -> None:
        vm = launch(plane, world.alice, "switch").vm
        asked = vm.quoted_usd_per_hour
        VM.objects.filter(pk=vm.pk).update(quoted_usd_per_hour=Decimal("0.001"))
        Margin.objects.create(share=Decimal(1), starts_at=plane.clock())
        QuotaFactory(user=world.alice, max_usd_per_hour=asked * Decimal("1.5"))
        plane.settle(seconds=30)
        vm.refresh_from_db()
        assert vm.attempt is None
        assert "would pass a quota" in vm.error_text

    def test_within_the_quota_goes_on(self, plane: ControlPlane, world: World) -> None:
        vm = launch(plane, world.alice, "switch").vm
        VM.objects.filter(pk=vm.pk).update(quoted_usd_per_hour=Decimal("0.001"))
        QuotaFactory(user=world.alice, max_usd_per_hour=Decimal(50))
        plane.until(vm, "running")


class TestProjects:
    def test_take_the_vms_of_those_who_may_launch_in_them(self, plane: ControlPlane, world: World) -> None:
        mine = ProjectFactory(owner=world.charlie)
        assert launch(plane, world.charlie, project_id=mine.pk).vm.project_id == mine.pk
        assert launch(plane, world.alice, project_id=world.tournament.pk).vm.project_id == world.tournament.pk

    def test_of_others_are_unknown(self, plane: ControlPlane, world: World) -> None:
        for project in (world.jam.pk, ProjectFactory(owner=world.bob).pk, 10**9):
            with pytest.raises(ValidationError) as refused:
                launch(plane, world.alice, project_id=project)
            assert refused.value.details == {"project_id": ["Unknown project."]}
        assert not VM.objects.exists()

    @pytest.mark.parametrize("columns", [{}, {"closed_at": timezone.now()}])
    def test_that_close_refuse(self, plane: ControlPlane, world: World, columns: dict[str, object]) -> None:
        Project.objects.filter(pk=world.tournament.pk).update(closing_at=timezone.now(), **columns)
        assert "project_id" in refusal(plane, world.alice, "snes", project_id=world.tournament.pk)

    def test_are_kept_by_the_vm_that_is_reused(self, plane: ControlPlane, world: World) -> None:
        vm = launch(plane, world.alice, project_id=world.tournament.pk).vm
        assert launch(plane, world.alice).vm.pk == vm.pk
        other = ProjectFactory(owner=world.alice)
        assert refusal(plane, world.alice, "snes", project_id=other.pk) == {"vm_id": [str(vm.pk)]}

    def test_take_a_vm_that_is_moved_as_they_take_a_new_one(self, plane: ControlPlane, world: World) -> None:
        by, vm = Principal(user=world.alice), launch(plane, world.alice).vm
        quota = QuotaFactory(project=world.tournament, max_vms=0)
        with pytest.raises(Conflict):
            services.change(vm=vm, by=by, project_id=world.tournament.pk, now=plane.clock())
        quota.delete()
        services.change(vm=vm, by=by, project_id=world.tournament.pk, now=plane.clock())
        assert VM.objects.get(pk=vm.pk).project_id == world.tournament.pk
        services.change(vm=vm, by=by, project_id=None, now=plane.clock())
        assert VM.objects.get(pk=vm.pk).project_id is None
        with pytest.raises(ValidationError):
            services.change(vm=vm, by=by, project_id=world.jam.pk, now=plane.clock())

    def test_and_departments_are_told_what_happens(self, plane: ControlPlane, world: World) -> None:
        vm = launch(plane, world.alice, project_id=world.tournament.pk).vm
        plane.until(vm, "running")
        events = Event.objects.about("vms", vm.pk)
        assert events.count() > 4
        audience = {(one.owner_id, one.project_id, one.department_id) for one in events}
        assert audience == {(world.alice.pk, world.tournament.pk, world.arcade.pk)}


class TestOwners:
    def test_who_are_suspended_start_nothing(self, plane: ControlPlane, world: World) -> None:
        """The request was let in a moment before."""
        User.objects.filter(pk=world.alice.pk).update(is_active=False)
        with pytest.raises(PermissionDenied):
            launch(plane, world.alice)

    def test_who_changed_department_meanwhile_are_asked_again(
        self, plane: ControlPlane, world: World
    ) -> None:
        User.objects.filter(pk=world.alice.pk).update(department=world.palace)
        with pytest.raises(Conflict):
            launch(plane, world.alice)

    def test_leave_their_vms_history_with_the_department(self, plane: ControlPlane, world: World) -> None:
        vm = put(launch(plane, world.alice).vm, Desired.GONE, Phase.DELETED)
        User.objects.filter(pk=world.alice.pk).update(department=None, department_role="")
        assert VM.objects.get(pk=vm.pk).department == world.arcade
        assert list(VM.objects.visible_to(Principal(user=world.mona))) == [vm]


class TestCost:
    def test_of_a_launch_without_quotas_is_one_statement(
        self, plane: ControlPlane, world: World, django_assert_num_queries: object
    ) -> None:
        from django.db import transaction

        with transaction.atomic():
            with django_assert_num_queries(2):  # type: ignore[operator]  # the quotas, and the player's own row
                quotas.lock(by=Principal(user=world.alice), owner=world.alice)


def test_projects_room_finds_the_row_it_locks(world: World) -> None:
    assert projects.lock(world.jam.pk).department == Department.objects.get(name="Palace")
