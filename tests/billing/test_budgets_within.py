"""A manager's budget on a person: it knows nothing of the person from before they joined, or from elsewhere."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import DepartmentRole, Scope, User
from accounts.principal import Principal, policy
from billing.budgets import force, rows, watch
from billing.budgets.rows import Step, Target
from billing.models import Budget, BudgetCrossing
from events.models import Event
from gamer.errors import NotFound
from tests.billing.usage import at, of, runs, used
from tests.factories import ApiKeyFactory
from tests.world import NOON, World

pytestmark = pytest.mark.django_db
OURS = policy("test")
STOPS = Step(100, stops_vms=True)


def budget(by: Principal, **wish: Any) -> Budget:
    wish = {"name": "Play", "limit_usd": Decimal(10), **wish}
    return rows.create(by=by, now=NOON, **wish).budget


@pytest.fixture
def charlie(world: World) -> User:
    """He played on his own, then joined Arcade."""
    used(of(world.charlie), at("2026-06-15 08:00"), at("2026-06-15 09:00"), charge="9")
    runs(of(world.charlie), at("2026-06-15 11:00"), charge="1")
    joined = {"department": world.arcade, "department_role": DepartmentRole.MEMBER}
    User.objects.filter(pk=world.charlie.pk).update(**joined)
    return User.objects.get(pk=world.charlie.pk)


class TestBudgets:
    def test_sum_what_was_used_there_only_and_staffs_sum_all(self, world: World, charlie: User) -> None:
        mona, step = Principal(user=world.mona), Step(50, blocks_launches=True)
        hers = budget(mona, target=Target(user=charlie), thresholds=[step])
        staffs = budget(Principal(user=world.sam), target=Target(user=charlie), thresholds=[step])
        found = watch.spent(NOON, [hers, staffs])
        assert (found[hers.pk][2], found[staffs.pk][2]) == (0, 10)
        assert [one.budget for one in BudgetCrossing.objects.all()] == [staffs]
        used(of(charlie), at("2026-06-15 09:00"), at("2026-06-15 10:00"), charge="6")
        watch.evaluate(NOON)
        assert BudgetCrossing.objects.get(budget=hers).spent_usd == 6

    def test_forbid_launches_there_only(self, world: World, charlie: User) -> None:
        used(of(charlie), at("2026-06-15 09:00"), at("2026-06-15 10:00"), charge="10")
        budget(Principal(user=world.mona), target=Target(user=charlie), thresholds=[STOPS])
        found = [
            force.blocking(owner_id=charlie.pk, project_id=None, department_id=one, now=NOON) is not None
            for one in (world.arcade.pk, world.palace.pk, None)
        ]
        assert found == [True, False, False]

    def test_are_the_only_ones_its_managers_know(self, world: World, charlie: User) -> None:
        mona, sam = Principal(user=world.mona), Principal(user=world.sam)
        hers, staffs = (budget(by, target=Target(user=charlie)) for by in (mona, sam))
        rows.change(by=sam, budget=hers, now=NOON, name="Less")
        assert list(Budget.objects.visible_to(mona)) == [hers]
        with pytest.raises(NotFound):
            rows.change(by=mona, budget=staffs, now=NOON, limit_usd=Decimal(1))
        told = Event.objects.filter(resource="billing").order_by("id")
        assert list(told.values_list("action", "resource_id", "department_id")) == [
            ("create", f"budget:{hers.pk}", world.arcade.pk),
            ("create", f"budget:{staffs.pk}", None),
            ("budget_crossed", f"budget:{staffs.pk}", None),
            ("budget_crossed", f"budget:{staffs.pk}", None),
            ("update", f"budget:{hers.pk}", world.arcade.pk),
        ]

    def test_leave_other_budgets_whole(self, world: World) -> None:
        key = ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=[Scope.READ, Scope.BILLING])
        for by in (Principal(user=world.mona), Principal(key=key)):
            assert budget(by, target=Target(department=world.arcade)).within is None
            assert budget(by, target=Target(user=world.alice)).within == world.arcade
        with pytest.raises(IntegrityError, match="budget_within_of_person"), transaction.atomic():
            Budget.objects.filter(covers="department").update(within=world.palace)

    def test_were_before_what_the_last_to_write_them_says(self, world: World, charlie: User) -> None:
        mona, sam, him = Principal(user=world.mona), Principal(user=world.sam), Target(user=charlie)
        scopes = [Scope.READ, Scope.BILLING]
        arcades = Principal(key=ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=scopes))
        ours = Principal(key=ApiKeyFactory(maker=world.sam, scopes=scopes))
        made = {by: budget(by, target=him) for by in (mona, arcades, sam, ours, OURS)}
        department = budget(mona, target=Target(department=world.arcade))
        ended, changed = budget(mona, target=him), budget(mona, target=him)
        rows.change(by=policy("membership"), budget=ended, is_active=False, now=NOON)
        rows.change(by=sam, budget=changed, name="Less", now=NOON)
        Budget.objects.update(within=None)
        with connection.cursor() as cursor:
            cursor.execute(import_module("billing.migrations.0011_budgets_within_departments").AS_EVENTS_TELL)
        theirs = {made[mona], made[arcades], ended}
        assert set(Budget.objects.filter(within=world.arcade)) == theirs
        whole = {made[sam], made[ours], made[OURS], department, changed}
        assert set(Budget.objects.filter(within=None)) == whole
