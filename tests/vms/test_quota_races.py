"""Launches at the same instant do not pass a limit together: real threads, real transactions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import departments
from accounts.models import Project, User
from accounts.principal import Principal
from gamer.errors import Conflict
from portal import services as portal
from tests.at_once import at_once, met
from tests.factories import DepartmentFactory, ProjectFactory, QuotaFactory, UserFactory
from tests.vms.control_plane import ControlPlane
from tests.waiting import eventually, is_somebody_waiting
from tests.world import World, client_of
from vms import services
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt
from vms.reconcile import claims, loading
from vms.reconcile.choosing import Chooser
from vms.services import Launched, Order

pytestmark = pytest.mark.django_db(transaction=True)

CONSOLES = ("nes", "snes", "gb", "gbc", "gba", "nds", "3ds", "switch")
MANY = len(CONSOLES)


@pytest.fixture
def plane(stocked: ControlPlane) -> ControlPlane:
    return stocked


def launching(plane: ControlPlane, owner: User, console: str, **wish: object) -> Callable[[], Launched]:
    order = Order(console=console, game_id="zelda", **wish)  # type: ignore[arg-type]
    by = Principal(user=owner)
    return lambda: services.launch_game(by=by, owner=owner, order=order, now=plane.now())


def let_in(results: list[Launched | Exception]) -> int:
    """How many were let in; the others were refused as they should be."""
    assert [one for one in results if not isinstance(one, Launched | Conflict)] == []
    return sum(isinstance(one, Launched) for one in results)


def members(world: World, count: int) -> list[User]:
    return [UserFactory(department=world.arcade) for _ in range(count)]


class TestLaunchesAtOnce:
    def test_of_one_user_stay_within_their_limit(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(user=world.alice, max_vms=3)
        results = at_once(*[launching(plane, world.alice, console) for console in CONSOLES])
        assert let_in(results) == VM.objects.count() == 3

    def test_of_a_departments_people_stay_within_its_limit(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(department=world.arcade, max_vms=3)
        results = at_once(*[launching(plane, one, "snes") for one in members(world, MANY)])
        assert let_in(results) == VM.objects.count() == 3

    def test_in_a_project_stay_within_its_limit(self, plane: ControlPlane, world: World) -> None:
        QuotaFactory(project=world.tournament, max_gpu_vms=2)
        within = {"project_id": world.tournament.pk}
        results = at_once(*[launching(plane, one, "switch", **within) for one in members(world, MANY)])
        assert let_in(results) == VM.objects.count() == 2

    def test_stay_within_the_dollars_of_an_hour(self, plane: ControlPlane, world: World) -> None:
        probe = launching(plane, world.mona, "snes")()
        price = probe.vm.quoted_usd_per_hour
        assert price
        VM.objects.update(phase=Phase.DELETED, desired=Desired.GONE, next_look_at=None)
        QuotaFactory(department=world.arcade, max_usd_per_hour=price * 3 + Decimal("0.0001"))
        results = at_once(*[launching(plane, one, "snes") for one in members(world, MANY)])
        assert let_in(results) == 3

    def test_under_limits_of_every_kind_meet_no_deadlock(self, plane: ControlPlane, world: World) -> None:
        people = members(world, 4)
        QuotaFactory(department=world.arcade, max_vms=5)
        QuotaFactory(project=world.tournament, max_vms=3)
        for one in people:
            QuotaFactory(user=one, max_vms=1)
        wishes = {"nes": {"project_id": world.tournament.pk}, "snes": {}}
        calls = [launching(plane, one, each, **wishes[each]) for one in people for each in wishes]
        assert let_in(at_once(*calls)) == VM.objects.count() == 4


class TestStartsAtOnce:
    def test_stay_within_the_limit(self, plane: ControlPlane, world: World) -> None:
        people = members(world, MANY)
        vms = [launching(plane, one, "switch")().vm for one in people]
        VM.objects.update(desired=Desired.STOPPED, phase=Phase.STOPPED)
        QuotaFactory(department=world.arcade, max_gpu_vms=3)
        rows = [VM.objects.select_related("owner").get(pk=vm.pk) for vm in vms]
        results = at_once(
            *[
                lambda vm=vm: services.start(vm=vm, by=Principal(user=vm.owner), now=plane.now())
                for vm in rows
            ]
        )
        assert results.count(None) == VM.objects.filter(desired=Desired.RUNNING).count() == 3
        assert all(one is None or isinstance(one, Conflict) for one in results)


class TestPlacementsAtOnce:
    def test_of_dearer_machines_stay_within_the_dollars(self, plane: ControlPlane, world: World) -> None:
        """All were let in for nothing, because nobody knew a price; each placement asks for itself."""
        vms = [launching(plane, one, "switch")().vm for one in members(world, MANY)]
        VM.objects.update(quoted_usd_per_hour=None)
        QuotaFactory(department=world.arcade, max_usd_per_hour=Decimal("1.5"))
        leases = [claims.claim(is_acting=False, now=plane.now(), limit=1) for _ in vms]
        subjects = [loading.subjects(lease.ids)[0] for lease in leases]
        done = at_once(
            *[
                lambda subject=subject, token=lease.token: Chooser(plane.now()).run(subject, token)
                for subject, lease in zip(subjects, leases, strict=True)
            ]
        )
        assert done == [True] * MANY
        spent = sum(Attempt.objects.values_list("usd_per_hour", flat=True))
        assert Decimal("1.0") < spent <= Decimal("1.5")


class TestLaunchAndClose:
    def test_at_once_leave_nothing_alive_in_a_closed_project(self, plane: ControlPlane, world: World) -> None:
        for _ in range(4):
            project = ProjectFactory(owner=world.mona, department=world.arcade)
            people = members(world, 6)
            calls = [launching(plane, one, "snes", project_id=project.pk) for one in people]
            by = Principal(user=world.mona)
            closing = partial(portal.close_project, by=by, project=project, cascade=True, now=timezone.now())
            results = at_once(*calls, closing)
            made = let_in([one for one in results if not isinstance(one, Project)])
            assert made == VM.objects.filter(project=project).count()
            assert not VM.objects.filter(project=project).exclude(desired=Desired.GONE).exists()


class TestLaunchAndLeave:
    def test_at_once_leave_no_members_vm_behind(self, plane: ControlPlane, world: World) -> None:
        for one in members(world, 5):
            results = at_once(
                launching(plane, one, "snes"),
                lambda one=one: portal.remove_member(
                    by=Principal(user=world.mona), department=world.arcade, member=one, now=timezone.now()
                ),
            )
            user, vm = User.objects.get(pk=one.pk), VM.objects.filter(owner=one).first()
            assert all(
                not isinstance(result, Exception) or isinstance(result, Conflict) for result in results
            )
            # Never both: out of the department, and a VM at its expense.
            assert user.department_id is not None or vm is None or vm.department_id is None

    def test_lock_a_project_before_its_maker(self, world: World) -> None:
        project = ProjectFactory(owner=world.alice, department=world.arcade)
        by, now = Principal(user=world.mona), timezone.now()
        met(
            lambda: portal.remove_member(by=by, department=world.arcade, member=world.alice, now=now),
            *(project, world.alice),
        )
        assert Project.objects.get(pk=project.pk).owner == world.mona


class TestLaunchAndDeletion:
    def test_of_the_department_that_somebody_has_just_left_is_a_conflict(
        self, plane: ControlPlane, world: World
    ) -> None:
        quota = QuotaFactory(department=DepartmentFactory(), max_vms=3)
        user = UserFactory(department=quota.department)
        client = client_of(user)
        leaving = {"by": Principal(user=world.sam), "department": quota.department, "now": timezone.now()}
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                departments.lock(quota.department_id, for_deletion=True)
                launched = pool.submit(at_once, lambda: client.post("/vms", {"console_type": "snes"}))
                eventually(is_somebody_waiting)
                departments.part(**leaving, member=user)
                departments.delete(**leaving)
            (answer,) = launched.result(30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        assert not VM.objects.exists()


class TestLaunchAndSuspend:
    def test_at_once_leave_nothing_that_anybody_wants(self, plane: ControlPlane, world: World) -> None:
        for one in members(world, 5):
            at_once(
                launching(plane, one, "snes"),
                lambda one=one: portal.suspend(
                    by=Principal(user=world.sam), user=one, reason="spam", now=timezone.now()
                ),
            )
            assert not User.objects.get(pk=one.pk).is_active
            assert not VM.objects.filter(owner=one).exclude(desired=Desired.GONE).exists()
