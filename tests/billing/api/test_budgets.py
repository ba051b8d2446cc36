from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import DepartmentRole, Scope, User
from billing.models import Budget
from events.models import Event, Webhook
from tests.bad_inputs import sweep_bodies
from tests.billing.usage import of, runs
from tests.factories import ApiKeyFactory
from tests.vms.api.asking import details, post
from tests.world import World, client_with_key

pytestmark = pytest.mark.django_db
PATH = "/billing/budgets"
WISH = {"name": "June", "covers": "global", "limit_usd": 500}
TARGETS = ("provider", "project_id", "department_id", "user_id")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def made(client: APIClient, **wish: Any) -> dict[str, Any]:
    answer = post(client, PATH, {**WISH, **wish})
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    assert answer["Location"].endswith(f"{PATH}/{body['budget_id']}")
    return body


class TestCreate:
    def test_answers_with_the_budget_and_what_is_spent_of_it(self, world: World, as_sam: APIClient) -> None:
        runs(of(world.alice), timezone.now() - timedelta(seconds=40), cost="90000")
        body = made(
            as_sam, thresholds=[{"percent": 90, "actions": ["notify", "stop_vms"]}], emails=["ops@gamer.test"]
        )
        current = body.pop("current")
        assert current["spent_usd"] >= 1000
        assert [(one["percent"], one["severity"]) for one in current["crossed"]] == [(90, "warning")]
        assert body.pop("created_at")
        assert body == {
            "budget_id": Budget.objects.get().pk, "name": "June", "covers": "global", "provider": None, "project_id": None,
            "department_id": None, "user_id": None, "period": "monthly", "starts_on": None, "ends_on": None, "limit_usd": 500,
            "thresholds": [{"percent": 90, "actions": ["notify", "stop_vms"]}], "emails": ["ops@gamer.test"],
            "webhook_url": None, "is_active": True, "webhook_secret": None,
        }  # fmt: skip

    def test_covers_what_is_named(self, world: World, as_sam: APIClient) -> None:
        assert made(as_sam, covers="provider", provider="gcp")["provider"] == "cloudypad_gcp"
        assert (
            made(as_sam, covers="project", project_id=world.tournament.pk)["project_id"]
            == world.tournament.pk
        )
        assert (
            made(as_sam, covers="department", department_id=world.arcade.pk)["department_id"]
            == world.arcade.pk
        )
        assert made(as_sam, covers="user", user_id="alice@gamer.test")["user_id"] == "alice@gamer.test"
        days = {"period": "custom", "starts_on": "2026-01-01", "ends_on": "2026-01-31"}
        assert made(as_sam, **days)["current"] is None

    @pytest.mark.parametrize(
        ("wish", "field"),
        [
            ({"covers": "everything"}, "covers"),
            ({"covers": "user"}, "user_id"),
            ({"covers": "user", "user_id": None}, "user_id"),
            ({"covers": "user", "user_id": "nobody"}, "user_id"),
            ({"covers": "project", "project_id": 10**9}, "project_id"),
            ({"provider": "libvirt"}, "provider"),
            ({"covers": "provider", "provider": "tensordok"}, "provider"),
            ({"limit_usd": 0}, "limit_usd"),
            ({"limit_usd": -5}, "limit_usd"),
            ({"limit_usd": "500"}, "limit_usd"),
            ({"period": "weekly"}, "period"),
            ({"period": "custom", "starts_on": "2026-02-01", "ends_on": "2026-01-01"}, "ends_on"),
            ({"period": "custom", "starts_on": "2026-02-01"}, "ends_on"),
            ({"starts_on": "2026-02-30"}, "starts_on"),
            ({"thresholds": []}, "thresholds"),
            ({"thresholds": [{"percent": 0, "actions": []}]}, "thresholds.0.percent"),
            ({"thresholds": [{"percent": 5}]}, "thresholds.0.actions"),
            ({"thresholds": [{"actions": []}]}, "thresholds.0.percent"),
            ({"thresholds": [{"percent": 5, "actions": ["shout"]}]}, "thresholds.0.actions.0"),
            ({"thresholds": [{"percent": 5, "actions": []}, {"percent": 5, "actions": []}]}, "thresholds"),
            ({"emails": ["x"]}, "emails.0"),
            ({"webhook_url": "gopher://a.test"}, "webhook_url"),
            ({"webhook_url": "https://a.test", "webhook_secret": "x"}, "webhook_secret"),
            ({"webhook_secret": SECRET}, "webhook_url"),
            ({"webhook_url": "", "webhook_secret": SECRET}, "webhook_url"),
            ({"spent_usd": 5}, "spent_usd"),
        ],
    )
    def test_refuses_by_the_fields_name(self, as_sam: APIClient, wish: dict[str, Any], field: str) -> None:
        assert field in details(post(as_sam, PATH, {**WISH, **wish}))
        assert not Budget.objects.exists()

    def test_refuses_broken_bodies(self, world: World, as_sam: APIClient) -> None:
        right = {
            **WISH,
            "limit_usd": 500.5,
            "covers": "user",
            "user_id": "alice@gamer.test",
            "period": "monthly",
            "is_active": True,
        }
        assert sweep_bodies(as_sam, PATH, right) > 50
        assert not Budget.objects.exists()

    def test_is_made_again_and_changed_by_what_was_read_of_it(self, as_sam: APIClient) -> None:
        read = as_sam.get(f"{PATH}/{made(as_sam, covers='provider', provider='gcp')['budget_id']}").json()
        path = f"{PATH}/{read.pop('budget_id')}"
        assert (read.pop("current")["spent_usd"], read["webhook_url"], read["user_id"]) == (0, None, None)
        assert read.pop("created_at")
        again = made(as_sam, **read)
        assert read.items() <= again.items()
        changes = {name: value for name, value in read.items() if name not in ("covers", *TARGETS)}
        answer = as_sam.patch(path, {**changes, "name": "July"}, format="json")
        assert answer.status_code == 200, answer.content
        assert {**read, "name": "July"}.items() <= answer.json().items()

    def test_loses_its_webhook_to_null(self, as_sam: APIClient) -> None:
        path = f"{PATH}/{made(as_sam, webhook_url='https://hooks.gamer.test/x')['budget_id']}"
        assert as_sam.patch(path, {"webhook_url": None}, format="json").json()["webhook_url"] is None
        assert not Webhook.objects.exists()

    def test_tells_a_webhooks_secret_once_and_never_again(self, as_sam: APIClient) -> None:
        body = made(as_sam, webhook_url="https://hooks.gamer.test/x")
        secret = body["webhook_secret"]
        assert secret.startswith("whsec_")
        assert Webhook.objects.get().secret.reveal() == secret
        for answer in (as_sam.get(PATH), as_sam.get(f"{PATH}/{body['budget_id']}")):
            assert secret.encode() not in answer.content
        assert (
            made(as_sam, webhook_url="https://hooks.gamer.test/x", webhook_secret=SECRET)["webhook_secret"]
            is None
        )


class TestWho:
    def test_may_not_steer_budgets_as_a_player_or_a_key_without_billing(
        self,
        world: World,
        as_alice: APIClient,
        as_service: APIClient,
        as_reader: APIClient,
        anyone: APIClient,
    ) -> None:
        for client in (as_alice, as_service, as_reader):
            assert post(client, PATH, WISH).status_code == 403
            assert client.get(PATH).json() == []
        assert anyone.get(PATH).status_code == 401

    def test_steers_a_departments_as_its_manager(
        self, world: World, as_sam: APIClient, as_mona: APIClient, as_oscar: APIClient
    ) -> None:
        ours = made(as_mona, covers="department", department_id=world.arcade.pk)
        staffs = made(as_sam)
        by_staff = made(as_sam, covers="project", project_id=world.tournament.pk)
        assert {one["budget_id"] for one in as_mona.get(PATH).json()} == {
            ours["budget_id"],
            by_staff["budget_id"],
        }
        assert as_oscar.get(PATH).json() == []
        for method in ("get", "patch", "delete"):
            assert (
                getattr(as_oscar, method)(f"{PATH}/{ours['budget_id']}", {}, format="json").status_code == 404
            )
            assert (
                getattr(as_mona, method)(f"{PATH}/{staffs['budget_id']}", {}, format="json").status_code
                == 404
            )
        assert post(as_mona, PATH, WISH).status_code == 403
        for wish in ({"department_id": world.palace.pk}, {"covers": "project", "project_id": world.jam.pk}):
            assert post(as_mona, PATH, {**WISH, "covers": "department", **wish}).status_code in (400, 403)
        assert Budget.objects.count() == 3

    def test_of_a_department_sees_no_use_of_a_person_from_before_they_joined(
        self, world: World, as_sam: APIClient, as_mona: APIClient
    ) -> None:
        runs(of(world.charlie), timezone.now() - timedelta(seconds=40), charge="90000")
        joined = {"department": world.arcade, "department_role": DepartmentRole.MEMBER}
        User.objects.filter(pk=world.charlie.pk).update(**joined)
        whole = {"covers": "user", "user_id": world.charlie.handle}
        hers, staffs = made(as_mona, **whole), made(as_sam, **whole)
        assert (hers["current"]["spent_usd"], hers["current"]["crossed"]) == (0, [])
        assert staffs["current"]["spent_usd"] >= 1000
        assert [one["budget_id"] for one in as_mona.get(PATH).json()] == [hers["budget_id"]]
        assert as_mona.get(f"{PATH}/{staffs['budget_id']}").status_code == 404

    def test_steers_them_with_a_billing_key(self, world: World) -> None:
        key = client_with_key(ApiKeyFactory(maker=world.sam, scopes=[Scope.READ, Scope.BILLING]).secret)
        for wish in (
            {"covers": "global"},
            {"covers": "user", "user_id": "alice@gamer.test"},
            {"covers": "project", "project_id": world.jam.pk},
            {"covers": "department", "department_id": world.arcade.pk},
        ):
            body = made(key, **wish)
            assert wish.items() <= body.items()
            assert key.get(f"{PATH}/{body['budget_id']}").status_code == 200

    def test_steers_its_own_with_a_departments_billing_key(self, world: World) -> None:
        scopes = [Scope.READ, Scope.BILLING]
        key = ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=scopes)
        client = client_with_key(key.secret)
        assert made(client, covers="project", project_id=world.tournament.pk)["covers"] == "project"
        for wish in (
            {"covers": "user", "user_id": "oscar@gamer.test"},
            {"covers": "project", "project_id": world.jam.pk},
            {"covers": "department", "department_id": world.palace.pk},
        ):
            assert post(client, PATH, {**WISH, **wish}).status_code == 400


class TestChange:
    def test_lifts_what_no_longer_holds(self, world: World, as_sam: APIClient) -> None:
        runs(of(world.alice), timezone.now() - timedelta(seconds=40), cost="90000")
        body = made(as_sam)
        assert len(body["current"]["crossed"]) == 2
        answer = as_sam.patch(
            f"{PATH}/{body['budget_id']}", {"limit_usd": 10_000_000, "name": "July"}, format="json"
        )
        assert answer.status_code == 200, answer.content
        assert answer.json()["current"]["crossed"] == []
        assert (answer.json()["name"], answer.json()["limit_usd"]) == ("July", 10_000_000)
        events = Event.objects.filter(action__in=["create", "update"]).order_by("id")
        assert [event.details["limit_usd"] for event in events] == [500, 10_000_000]

    @pytest.mark.parametrize(
        ("step", "field"),
        [({"percent": 80}, "thresholds.0.actions"), ({"actions": ["notify"]}, "thresholds.0.percent")],
    )
    def test_refuses_half_a_threshold(self, as_sam: APIClient, step: dict[str, Any], field: str) -> None:
        path = f"{PATH}/{made(as_sam)['budget_id']}"
        assert set(details(as_sam.patch(path, {"thresholds": [step]}, format="json"))) == {field}
        assert as_sam.get(path).json()["thresholds"][0] == {"percent": 80, "actions": ["notify"]}

    @pytest.mark.parametrize("field", ["covers", "user_id", "budget_id", "webhook_id"])
    def test_leaves_what_it_covers(self, as_sam: APIClient, field: str) -> None:
        path = f"{PATH}/{made(as_sam)['budget_id']}"
        assert field in details(as_sam.patch(path, {field: "user"}, format="json"))

    def test_refuses_half_a_period(self, as_sam: APIClient) -> None:
        path = f"{PATH}/{made(as_sam)['budget_id']}"
        assert "starts_on" in details(as_sam.patch(path, {"period": "custom"}, format="json"))
        days = {"period": "custom", "starts_on": "2026-01-01", "ends_on": "2026-01-31"}
        assert as_sam.patch(path, days, format="json").status_code == 200
        back = {"period": "daily", "starts_on": None, "ends_on": None}
        assert as_sam.patch(path, back, format="json").json()["period"] == "daily"

    def test_gives_the_webhook_there_is_another_secret(self, as_sam: APIClient) -> None:
        url = "https://hooks.gamer.test/x"
        path = f"{PATH}/{made(as_sam, webhook_url=url)['budget_id']}"
        answer = as_sam.patch(path, {"webhook_secret": SECRET}, format="json")
        assert (answer.json()["webhook_url"], answer.json()["webhook_secret"]) == (url, None)
        assert Webhook.objects.get().secret.reveal() == SECRET
        gone = as_sam.patch(path, {"webhook_url": "", "webhook_secret": SECRET}, format="json")
        assert details(gone) == {"webhook_url": ["A secret signs what goes to an address."]}

    def test_takes_no_secret_without_a_webhook(self, as_sam: APIClient) -> None:
        path = f"{PATH}/{made(as_sam)['budget_id']}"
        assert "webhook_url" in details(as_sam.patch(path, {"webhook_secret": SECRET}, format="json"))

    def test_refuses_broken_bodies(self, as_sam: APIClient) -> None:
        path = f"{PATH}/{made(as_sam)['budget_id']}"
        assert (
            sweep_bodies(as_sam, path, {"name": "x", "limit_usd": 5.5, "is_active": True}, method="PATCH")
            > 20
        )

    def test_is_deleted(self, as_sam: APIClient) -> None:
        path = f"{PATH}/{made(as_sam, webhook_url='https://a.test')['budget_id']}"
        assert as_sam.delete(path).status_code == 204
        assert as_sam.get(path).status_code == 404
        assert not Webhook.objects.exists()


class TestList:
    def test_takes_as_many_statements_for_many_as_for_one(self, world: World, as_sam: APIClient) -> None:
        def counted() -> int:
            with CaptureQueriesContext(connection) as asked:
                assert as_sam.get(PATH).status_code == 200
            return len(asked)

        made(as_sam)
        one = counted()
        for person in (world.alice, world.bob, world.charlie):
            made(as_sam, covers="user", user_id=person.handle, webhook_url="https://a.test")
        assert counted() == one <= 12
        answer = as_sam.get(PATH, {"limit": 2})
        assert (len(answer.json()), answer.headers["X-Total-Count"]) == (2, "4")
