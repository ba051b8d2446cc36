"""A VM's money goes elsewhere while hours are closed, which holds meters and waits for accounts, by their ids: real transactions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db.models import Model

from accounts.models import Project, User
from accounts.principal import Principal, policy
from billing.models import CreditAccount, Hold, Meter
from billing.services import accounts, credits
from tests.at_once import met
from tests.billing.metered import broken
from tests.vms.control_plane import ControlPlane
from tests.world import NOON, World
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
    by = Principal(user=vm.owner)
    met(lambda: services.change(vm=vm, by=by, now=plane.now(), project_id=project.pk), *held)
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


def test_who_pays_how_is_set_in_the_order_of_launches(world: World) -> None:
    """They hold the player and put credit aside on the player's account."""
    account = accounts.account_of(world.alice, NOON)
    met(
        lambda: credits.set_postpaid(by=BY, account=account, is_postpaid=True, now=NOON), world.alice, account
    )
    assert User.objects.get(pk=world.alice.pk).is_postpaid
