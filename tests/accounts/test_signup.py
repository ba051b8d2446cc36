from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import logins
from accounts.models import User
from events.models import Event
from gamer.errors import Conflict
from gamer.web.models import Allowance
from tests.at_once import at_once
from tests.bad_inputs import assert_error, sweep_bodies
from tests.factories import UserFactory
from tests.world import World, client_of

pytestmark = pytest.mark.django_db

DORA = {
    "email": "dora@gamer.test",
    "password": "a tall green door",
    "first_name": "Dora",
    "last_name": "Diaz",
}


def sign_up(client: APIClient, **changes: Any) -> Any:
    return client.post("/auth/signup", {**DORA, **changes})


class TestSignup:
    def test_makes_a_prepaid_player_who_is_logged_in(self, anyone: APIClient) -> None:
        response = sign_up(anyone)
        assert response.status_code == 201
        body = response.json()
        assert body["user"] == {
            "user_id": "dora@gamer.test",
            "email": "dora@gamer.test",
            "first_name": "Dora",
            "last_name": "Diaz",
            "role": "player",
        }
        assert response.headers["Cache-Control"] == "no-store"
        dora = User.objects.get(email="dora@gamer.test")
        assert (dora.is_postpaid, dora.department, dora.is_staff, dora.is_active) == (
            False,
            None,
            False,
            True,
        )
        assert dora.password.startswith("argon2")
        assert logins.login_of(body["access"], timezone.now()).user == dora
        again = anyone.post("/auth/login", {"email": DORA["email"], "password": DORA["password"]})
        assert again.status_code == 200

    def test_asks_for_no_name(self, anyone: APIClient) -> None:
        for number, names in enumerate([{}, {"first_name": "", "last_name": " "}]):
            body = {"email": f"dora{number}@gamer.test", "password": DORA["password"], **names}
            response = anyone.post("/auth/signup", body)
            assert response.status_code == 201, response.content
            user = response.json()["user"]
            assert (user["first_name"], user["last_name"]) == ("", "")

    def test_is_recorded(self, anyone: APIClient) -> None:
        sign_up(anyone)
        found = [(event.actor, event.action, event.details) for event in Event.objects.all()]
        assert found == [
            ("user:dora@gamer.test", "create", {"door": "signup"}),
            ("user:dora@gamer.test", "login", {}),
        ]

    def test_takes_addresses_in_any_case(self, anyone: APIClient) -> None:
        assert sign_up(anyone, email="Dora@Gamer.TEST").json()["user"]["email"] == "dora@gamer.test"
        assert sign_up(anyone, email="DORA@gamer.test").status_code == 409

    def test_refuses_a_known_address(self, world: World, anyone: APIClient) -> None:
        response = sign_up(anyone, email="alice@gamer.test")
        assert response.status_code == 409
        assert set(assert_error(response)) == {"email"}
        assert User.objects.get(email="alice@gamer.test").first_name == "Alice"

    def test_refuses_the_administrators_address_while_nobody_has_it(self, anyone: APIClient) -> None:
        response = sign_up(anyone, email="Admin@gamer.local")
        assert (response.status_code, set(assert_error(response))) == (409, {"email"})
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "field", "text"),
        [
            ({"password": "short"}, "password", "too short"),
            ({"password": "1234567890123"}, "password", "entirely numeric"),
            ({"password": "password123"}, "password", "too common"),
            ({"password": "dora@gamer.test"}, "password", "too similar"),
            ({"email": "dora"}, "email", "valid email"),
            ({"email": "dora@gamer.test\n"}, "", ""),
            ({"first_name": "x" * 101}, "first_name", "100 characters"),
            ({"last_name": "x" * 101}, "last_name", "100 characters"),
            ({"is_staff": True}, "is_staff", "Unknown field"),
        ],
    )
    def test_says_in_words_what_is_wrong(
        self, anyone: APIClient, changes: dict[str, Any], field: str, text: str
    ) -> None:
        response = sign_up(anyone, **changes)
        if not field:
            assert response.json()["user"]["email"] == "dora@gamer.test"
            return
        assert response.status_code == 400
        details = assert_error(response)
        assert text in " ".join(details[field])
        assert not User.objects.exists()

    def test_names_everything_that_is_wrong_with_a_password(self, anyone: APIClient) -> None:
        assert len(assert_error(sign_up(anyone, password="12345"))["password"]) == 3

    def test_refuses_every_broken_body_by_name(self, anyone: APIClient) -> None:
        assert sweep_bodies(anyone, "/auth/signup", DORA) > 70

    def test_does_not_let_one_place_try_out_addresses(self, world: World, anyone: APIClient) -> None:
        for _ in range(20):
            assert sign_up(anyone, email="alice@gamer.test").status_code == 409
        response = sign_up(anyone)
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) > 0
        assert sign_up(anyone, password="x").status_code == 400  # says nothing about anybody
        assert not User.objects.filter(email="dora@gamer.test").exists()

    def test_does_not_give_anybody_the_things_of_somebody_a_service_named(self, anyone: APIClient) -> None:
        spoken_for = UserFactory(email=None, handle="dora@gamer.test", is_postpaid=True)
        body = sign_up(anyone).json()
        assert body["user"]["user_id"].startswith("dora@gamer.test-")
        assert logins.login_of(body["access"], timezone.now()).user != spoken_for

    @pytest.mark.django_db(transaction=True)
    def test_makes_one_of_many_at_once(self) -> None:
        results = at_once(*[lambda: sign_up(APIClient()).status_code] * 4)
        assert sorted(results) == [201, 409, 409, 409]
        assert User.objects.count() == 1
        assert not any(isinstance(one, Conflict) for one in results)


class TestProfile:
    def test_is_ones_own(self, world: World, as_alice: APIClient) -> None:
        body = as_alice.get("/auth/profile").json()
        assert body.pop("created_at").endswith("Z")
        assert body == {
            "user_id": "alice@gamer.test",
            "email": "alice@gamer.test",
            "first_name": "Alice",
            "last_name": "",
            "role": "player",
            "department_id": world.arcade.pk,
            "department_role": "member",
            "is_postpaid": False,
            "asks_otp": False,
        }

    def test_changes_its_names_only(self, world: World, as_alice: APIClient) -> None:
        response = as_alice.patch("/auth/profile", {"first_name": "Ali", "last_name": "Baba"})
        assert (response.json()["first_name"], response.json()["last_name"]) == ("Ali", "Baba")
        assert Event.objects.get().details == {"changed": ["first_name", "last_name"]}
        for field, value in {
            "email": "x@gamer.test",
            "user_id": "x",
            "is_postpaid": True,
            "role": "staff",
        }.items():
            refused = as_alice.patch("/auth/profile", {field: value})
            assert refused.status_code == 400
            assert set(assert_error(refused)) == {field}

    def test_records_no_change_that_is_none(self, as_alice: APIClient) -> None:
        assert as_alice.patch("/auth/profile", {"first_name": "Alice"}).status_code == 200
        assert not Event.objects.exists()

    def test_is_of_people_only(
        self, anyone: APIClient, as_service: APIClient, as_admin_key: APIClient
    ) -> None:
        assert anyone.get("/auth/profile").status_code == 401
        for client in (as_service, as_admin_key):
            assert client.get("/auth/profile").status_code == 403
            assert client.patch("/auth/profile", {}).status_code == 403

    def test_refuses_every_broken_body_by_name(self, world: World) -> None:
        client = client_of(world.alice)
        assert (
            sweep_bodies(client, "/auth/profile", {"first_name": "A", "last_name": "B"}, method="PATCH") > 40
        )
        assert Allowance.objects.count() <= 1
