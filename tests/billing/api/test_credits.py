from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import DepartmentRole, Scope, User
from billing.models import CreditAccount
from billing.services import accounts
from tests.bad_inputs import sweep_bodies
from tests.billing.metered import PLAYS, Till, broken
from tests.factories import ApiKeyFactory
from tests.vms.api.asking import details, post
from tests.world import World, client_with_key

pytestmark = pytest.mark.django_db
PATH, MOVED = "/billing/credits", "/billing/transactions"
GIFT = {"user_id": "alice@gamer.test", "amount": 10, "reason": "Compensation"}


class TestGiving:
    def test_answers_with_the_account_afterwards(self, world: World, as_sam: APIClient) -> None:
        answer = post(as_sam, PATH, GIFT)
        assert answer.status_code == 201, answer.content
        body = answer.json()
        assert (body["user_id"], body["kind"], body["balance_usd"]) == ("alice@gamer.test", "user", 15)
        assert broken() == []

    def test_takes_with_a_negative_amount_but_not_below_zero(self, world: World, as_sam: APIClient) -> None:
        assert post(as_sam, PATH, {**GIFT, "amount": -5}).json()["balance_usd"] == 0
        answer = post(as_sam, PATH, {**GIFT, "amount": -0.000001})
        assert answer.status_code == 402
        assert answer.json()["error"]["code"] == "insufficient_credits"

    def test_happens_once_under_a_key(self, world: World, as_sam: APIClient) -> None:
        answers = [post(as_sam, PATH, GIFT, headers={"Idempotency-Key": "one"}) for _ in range(2)]
        assert [one.json()["balance_usd"] for one in answers] == [15, 15]
        other = post(as_sam, PATH, {**GIFT, "amount": 11}, headers={"Idempotency-Key": "one"})
        assert other.status_code == 409

    def test_reaches_projects_and_departments(self, world: World, as_sam: APIClient) -> None:
        for owner in ({"department_id": world.arcade.pk}, {"project_id": world.tournament.pk}):
            answer = post(as_sam, PATH, {**owner, "amount": 1, "reason": "Test"})
            assert answer.status_code == 201, answer.content
            assert answer.json()["balance_usd"] == 1

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"user_id": "nobody"}, "user_id"),
            ({"project_id": 1}, "user_id"),
            ({"amount": 0}, "amount"),
            ({"amount": 2_000_000}, "amount"),
            ({"amount": "10"}, "amount"),
            ({"reason": ""}, "reason"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"amount": -1, "expires_at": "2099-01-01T00:00:00Z"}, "expires_at"),
            ({"credit": 1}, "credit"),
        ],
    )
    def test_names_the_field_that_is_wrong(
        self, world: World, as_sam: APIClient, changes: dict[str, Any], field: str
    ) -> None:
        assert list(details(post(as_sam, PATH, {**GIFT, **changes}))) == [field]

    def test_survives_whatever_is_sent(self, world: World, as_sam: APIClient) -> None:
        assert sweep_bodies(as_sam, PATH, {**GIFT, "amount": 10.5}, nullable=("expires_at",))

    def test_is_for_staff_and_billing_keys(
        self, world: World, as_alice: APIClient, as_service: APIClient
    ) -> None:
        assert [post(one, PATH, GIFT).status_code for one in (as_alice, as_service)] == [403, 403]
        key = ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=[Scope.READ, Scope.BILLING])
        cashier = client_with_key(key.secret)
        assert post(cashier, PATH, GIFT).status_code == 201
        outside = {**GIFT, "user_id": world.charlie.handle}
        assert list(details(post(cashier, PATH, outside))) == ["user_id"]
        assert not CreditAccount.objects.filter(user=world.charlie).exists()


class TestLooking:
    def handles(self, client: APIClient) -> set[str | None]:
        return {one["user_id"] for one in client.get(PATH).json()}

    def test_opens_ones_own_account_with_the_welcome_credit(self, world: World, as_alice: APIClient) -> None:
        (account,) = as_alice.get(PATH).json()
        assert (account["balance_usd"], account["held_usd"], account["available_usd"]) == (5, 0, 5)

    def test_shows_people_their_own_and_managers_their_departments(
        self, world: World, as_alice: APIClient, as_bob: APIClient, as_sam: APIClient
    ) -> None:
        for person in (world.alice, world.bob, world.charlie):
            accounts.account_of(person, timezone.now())
        accounts.account_of(world.arcade, timezone.now())
        world.bob.department_role = DepartmentRole.MANAGER
        world.bob.save()
        alice, bob, charlie = world.alice.handle, world.bob.handle, world.charlie.handle
        assert self.handles(as_alice) == {alice}
        assert self.handles(as_bob) == {alice, bob, None}
        assert self.handles(as_sam) == {alice, bob, charlie, None}

    def test_lists_what_moved_with_the_usage_behind_it(self, world: World, as_alice: APIClient) -> None:
        now, vm = timezone.now(), uuid4()
        till = Till(world.alice, now - timedelta(hours=3))
        till.follow("a", PLAYS, now - timedelta(minutes=10), vm=vm)
        till.follow("a", None, now)
        body = as_alice.get(MOVED).json()
        assert {one["kind"] for one in body} == {"usage", "signup"}
        played = [one for one in body if one["kind"] == "usage"]
        assert {one["vm_id"] for one in played} == {str(vm)}
        assert round(sum(one["amount_usd"] for one in played), 6) == -0.26
        assert [one["amount_usd"] for one in as_alice.get(MOVED, {"kind": "signup"}).json()] == [5]

    def test_shows_managers_no_use_from_before_somebody_joined(
        self, world: World, as_mona: APIClient, as_charlie: APIClient
    ) -> None:
        now = timezone.now()
        till = Till(world.charlie, now - timedelta(hours=3))
        till.follow("before", PLAYS, now - timedelta(minutes=10))
        till.follow("before", None, now)
        User.objects.filter(pk=world.charlie.pk).update(department=world.arcade, department_role="member")
        till.follow("since", PLAYS, now - timedelta(minutes=5), department_id=world.arcade.pk)
        till.follow("since", None, now)
        asked = {"account_id": till.account.pk, "kind": "usage"}
        amounts = [
            round(sum(one["amount_usd"] for one in client.get(MOVED, asked).json()), 6)
            for client in (as_charlie, as_mona)
        ]
        assert amounts == [-0.39, -0.13]
        assert as_mona.get(MOVED, {"account_id": till.account.pk, "kind": "signup"}).json() != []

    def test_shows_nobody_elses(self, world: World, as_alice: APIClient) -> None:
        theirs = accounts.account_of(world.charlie, timezone.now())
        assert as_alice.get(MOVED, {"account_id": theirs.pk}).json() == []
