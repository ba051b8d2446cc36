"""A VM's money goes elsewhere while hours are closed, which holds meters and waits for accounts, by their ids: real transactions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connections, transaction
from django.db.models import Model

from accounts.models import Project
from accounts.principal import Principal, policy
from billing.models import CreditAccount, Hold, Meter
from billing.services import credits
from tests.billing.metered import broken
from tests.vms.control_plane import ControlPlane
from tests.waiting import eventually, is_somebody_waiting
from tests.world import World
from vms import metering, services
from vms.models import VM

pytestmark = pytest.mark.django_db(transaction=True)
BY = policy("test")


@pytest.fixture
def plane(stocked: ControlPlane) -> ControlPlane:
    return stocked


@pytest.fixture
def project(plane: ControlPlane, world: World) -> Project:
    """It has an account, which is older than alice's."""
    project = Project.objects.create(name="Mario", owner=world.alice)
    credits.change(by=BY, owner=project, usd=Decimal(50), reason="a tournament", now=plane.now())
    return project


@pytest.fixture
def vm(plane: ControlPlane, world: World, project: Project) -> VM:
    vm = plane.until(plane.launch(world.alice), "running")
    plane.settle(seconds=600, step=200)
    return vm


def goes_to(project: Project, vm: VM, plane: ControlPlane, *held: Model) -> None:
    """Moves a VM to a project while somebody else takes the lock of one row after the other."""

    def change() -> None:
        try:
            by = Principal(user=vm.owner)
            services.change(vm=vm, by=by, now=plane.now(), project_id=project.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            for number, row in enumerate(held):
                type(row)._default_manager.select_for_update(no_key=True).get(pk=row.pk)
                if number == 0:
                    changed = pool.submit(change)
                    eventually(is_somebody_waiting)
        changed.result(30)
    assert Hold.objects.get().account.project == project
    assert {meter.centre.payer.project for meter in Meter.objects.all()} == {project}
    assert broken() == []


class TestAMoveToAnotherProject:
    def test_locks_accounts_as_postings_do(self, plane: ControlPlane, project: Project, vm: VM) -> None:
        its, hers = CreditAccount.objects.get(project=project), CreditAccount.objects.get(user=vm.owner)
        assert its.pk < hers.pk
        goes_to(project, vm, plane, its, hers)

    def test_locks_all_meters_before_an_account(self, plane: ControlPlane, project: Project, vm: VM) -> None:
        """The VM is on its machine again, and the one that it did not get to is not proven gone."""
        hers = CreditAccount.objects.get(user=vm.owner)
        playing = Meter.objects.get()
        attempt = vm.attempt
        assert attempt is not None
        attempt.pk, attempt.number = None, attempt.number + 1
        attempt.tag, attempt.machine_id = f"{attempt.tag}-again", "never-reached"
        attempt.save(force_insert=True)
        metering.follow(vm, attempt, plane.now())
        other = Meter.objects.exclude(pk=playing.pk).get()
        assert other.pk > playing.pk
        goes_to(project, vm, plane, other, hers)
