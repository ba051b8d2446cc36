"""`/api-keys`, as people and keys meet it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys
from accounts.models import ApiKey, DepartmentRole, Scope, User
from accounts.principal import Principal
from events.models import Event
from gamer.web.models import Allowance
from tests.bad_inputs import assert_error, sweep_bodies, sweep_query
from tests.factories import ApiKeyFactory, DepartmentFactory, UserFactory
from tests.world import World, client_of, client_with_key

pytestmark = pytest.mark.django_db

FIELDS = {
    "id", "name", "prefix", "scopes", "department_id", "maker", "created_at", "expires_at", "last_used_at",
    "former_until", "revoked_at",
}  # fmt: skip


def make(client: APIClient, **changes: Any) -> Any:
    return client.post("/api-keys", {"name": "Site", "scopes": ["read"], **changes})


def status(secret: str) -> int:
    return int(client_with_key(secret).get("/vms").status_code)


@pytest.fixture
def manager(world: World) -> User:
    """Manages the department of alice and bob."""
    return UserFactory(
        email="mia@gamer.test", department=world.arcade, department_role=DepartmentRole.MANAGER
    )


@pytest.fixture
def as_manager(manager: User) -> APIClient:
    return client_of(manager)


class TestCreate:
    def test_shows_the_text_once(self, world: World, as_alice: APIClient) -> None:
        response = make(as_alice, scopes=["launch", "read"], department_id=world.arcade.pk)
        assert response.status_code == 201
        body = response.json()
        assert set(body) == FIELDS | {"key"}
        assert (body["scopes"], body["maker"], body["department_id"]) == (
            ["launch", "read"], "alice@gamer.test", world.arcade.pk,
        )  # fmt: skip
        assert response.headers["Location"].endswith(f"/api-keys/{body['id']}")
        assert response.headers["Cache-Control"] == "no-store"
        assert status(body["key"]) == 200
        for path in ("/api-keys", f"/api-keys/{body['id']}"):
            assert body["key"].split("_", 2)[2] not in as_alice.get(path).content.decode()
        event = Event.objects.get()
        assert (event.actor, event.action) == ("user:alice@gamer.test", "create")

    @pytest.mark.parametrize("scope", ["act_as", "config", "billing", "admin"])
    def test_gives_a_player_no_more_than_they_have(
        self, world: World, as_alice: APIClient, as_sam: APIClient, scope: str
    ) -> None:
        for department_id in (None, world.arcade.pk):
            refused = make(as_alice, scopes=["read", scope], department_id=department_id)
            assert refused.status_code == 403
            assert scope in refused.json()["detail"]
        assert make(as_sam, scopes=[scope]).status_code == 201

    def test_gives_a_manager_a_voice_for_their_department(self, world: World, as_manager: APIClient) -> None:
        scopes = ["act_as", "launch", "read"]
        assert make(as_manager, scopes=scopes).status_code == 403  # without the department
        body = make(as_manager, scopes=scopes, department_id=world.arcade.pk).json()
        assert status(body["key"]) == 200
        for scope in ("config", "billing", "admin"):
            assert make(as_manager, scopes=[scope], department_id=world.arcade.pk).status_code == 403

    def test_knows_ones_own_department_only(self, as_alice: APIClient, as_sam: APIClient) -> None:
        other = DepartmentFactory()
        for department_id in (other.pk, 10**12):
            response = make(as_alice, department_id=department_id)
            assert response.status_code == 400
            assert set(assert_error(response)) == {"department_id"}
        assert make(as_sam, department_id=other.pk).status_code == 201

    def test_makes_no_more_than_a_hundred_for_a_player(self, world: World, as_alice: APIClient) -> None:
        template = ApiKeyFactory(maker=world.alice)
        ApiKey.objects.bulk_create(
            ApiKey(name="x", prefix=f"p{number}", digest="d", scopes=["read"], maker=world.alice)
            for number in range(98)
        )
        assert make(as_alice).status_code == 201
        assert make(as_alice).status_code == 409
        ApiKey.objects.filter(pk=template.pk).update(revoked_at=timezone.now())
        assert make(as_alice).status_code == 201

    def test_is_for_people_and_staffs_keys(
        self, anyone: APIClient, as_service: APIClient, as_reader: APIClient, as_admin_key: APIClient
    ) -> None:
        assert make(anyone).status_code == 401
        assert make(as_service).status_code == make(as_reader).status_code == 403
        assert make(as_admin_key).status_code == 201

    def test_refuses_every_broken_body_by_name(self, world: World, as_sam: APIClient) -> None:
        right = {
            "name": "Site",
            "scopes": ["read"],
            "department_id": world.arcade.pk,
            "expires_at": "2099-01-01T00:00:00Z",
        }
        assert sweep_bodies(as_sam, "/api-keys", right, nullable={"department_id", "expires_at"}) > 60

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"scopes": []}, "scopes"),
            ({"scopes": ["root"]}, "scopes.0"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"maker": "sam@gamer.test"}, "maker"),
        ],
    )
    def test_refuses_by_name(self, as_sam: APIClient, changes: dict[str, Any], field: str) -> None:
        assert set(assert_error(make(as_sam, **changes))) == {field}


class TestList:
    def names(self, client: APIClient, query: str = "") -> list[str]:
        return [one["name"] for one in client.get(f"/api-keys{query}").json()]

    def test_shows_ones_own_and_staff_all(
        self, world: World, as_alice: APIClient, as_sam: APIClient, as_bob: APIClient, as_manager: APIClient
    ) -> None:
        ApiKeyFactory(name="Alice's", maker=world.alice)
        ApiKeyFactory(name="Alice's, for Arcade", maker=world.alice, department=world.arcade)
        ApiKeyFactory(name="Charlie's", maker=world.charlie)
        assert self.names(as_alice) == ["Alice's, for Arcade", "Alice's"]
        assert self.names(as_bob) == []
        assert self.names(as_manager) == ["Alice's, for Arcade", "Arcade's site"]
        assert len(self.names(as_sam)) == 6

    def test_is_narrowed(self, world: World, as_sam: APIClient) -> None:
        keys.revoke(by=Principal(user=world.sam), key=world.reader_key, now=timezone.now())
        assert self.names(as_sam, "?is_revoked=true") == ["Dashboard"]
        assert self.names(as_sam, f"?department_id={world.arcade.pk}&is_revoked=false") == ["Arcade's site"]

    def test_answers_every_odd_parameter(self, as_sam: APIClient) -> None:
        assert (
            sweep_query(as_sam, "/api-keys", {"is_revoked": "true", "department_id": "1", "limit": "5"}) > 50
        )

    def test_costs_the_same_for_many_rows(
        self, world: World, as_sam: APIClient, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(20):
            ApiKeyFactory()
        with django_assert_max_num_queries(4):
            as_sam.get("/api-keys")


class TestOne:
    def test_is_nobody_elses(
        self, world: World, as_bob: APIClient, as_charlie: APIClient, as_service: APIClient
    ) -> None:
        key = ApiKeyFactory(maker=world.alice, department=world.arcade)
        for client in (as_bob, as_charlie):
            for method, path in (
                ("get", ""), ("patch", ""), ("delete", ""), ("post", "/rotate"),
            ):  # fmt: skip
                response = getattr(client, method)(f"/api-keys/{key.pk}{path}", {})
                assert response.status_code == 404, (method, path)
                assert_error(response)
        assert as_service.get(f"/api-keys/{key.pk}").status_code == 403

    def test_changes_its_name_and_expiry(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        path = f"/api-keys/{key.pk}"
        body = as_alice.patch(path, {"name": "New", "expires_at": "2099-01-01T00:00:00Z"}).json()
        assert (body["name"], body["expires_at"]) == ("New", "2099-01-01T00:00:00Z")
        assert Event.objects.get().details["changed"] == ["expires_at", "name"]
        assert as_alice.patch(path, {"expires_at": None}).json()["expires_at"] is None
        for changes, field in (
            ({"scopes": ["admin"]}, "scopes"),
            ({"department_id": 1}, "department_id"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ):
            assert set(assert_error(as_alice.patch(path, changes))) == {field}

    def test_is_revoked_for_ever(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        path = f"/api-keys/{key.pk}"
        for _ in range(2):
            assert as_alice.delete(path).status_code == 204
        assert status(key.secret) == 401
        assert as_alice.get(path).json()["revoked_at"] is not None
        for response in (as_alice.patch(path, {"name": "x"}), as_alice.post(f"{path}/rotate", {})):
            assert response.status_code == 400
            assert response.json()["error"]["code"] == "invalid_state"

    @pytest.mark.parametrize("key_id", ["0", "999999999", "x", "-1", "9" * 30])
    def test_is_404_where_there_is_none(self, as_sam: APIClient, key_id: str) -> None:
        assert as_sam.get(f"/api-keys/{key_id}").status_code == 404

    def test_is_a_managers_to_end_and_not_to_take_over(self, world: World, as_manager: APIClient) -> None:
        """Who knows a key's text has its maker's powers."""
        alices = ApiKeyFactory(maker=world.alice, department=world.arcade)
        staffs = ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=list(Scope))
        for key in (alices, staffs):
            path = f"/api-keys/{key.pk}"
            assert as_manager.get(path).status_code == 200
            assert as_manager.post(f"{path}/rotate", {}).status_code == 403
            assert as_manager.patch(path, {"name": "mine"}).status_code == 403
            assert as_manager.delete(path).status_code == 204
            assert status(key.secret) == 401

    def test_of_an_administrator_is_an_administrators(self, world: World) -> None:
        helper = client_of(UserFactory(is_staff=True))
        path = f"/api-keys/{world.admin_key.pk}"
        assert helper.post(f"{path}/rotate", {}).status_code == 403
        assert helper.get(path).status_code == 200


class TestRotate:
    def test_ends_the_old_text_now(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        response = as_alice.post(f"/api-keys/{key.pk}/rotate", {})
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        body = response.json()
        assert body["key"] != key.secret
        assert (body["prefix"], body["former_until"]) == (key.prefix, None)
        assert (status(body["key"]), status(key.secret)) == (200, 401)
        event = Event.objects.get()
        assert (event.action, event.details["grace_s"]) == ("rotate", 0)
        assert body["key"] not in str(vars(event))

    def test_leaves_the_old_text_a_grace(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        first = as_alice.post(f"/api-keys/{key.pk}/rotate", {"grace_s": 3600}).json()
        assert (status(first["key"]), status(key.secret)) == (200, 200)
        second = as_alice.post(f"/api-keys/{key.pk}/rotate", {"grace_s": 3600}).json()
        assert [status(text) for text in (second["key"], first["key"], key.secret)] == [200, 200, 401]
        ApiKey.objects.filter(pk=key.pk).update(former_until=timezone.now() - timedelta(seconds=1))
        assert [status(text) for text in (second["key"], first["key"])] == [200, 401]

    def test_lets_the_old_text_outlive_nothing_else(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        as_alice.post(f"/api-keys/{key.pk}/rotate", {"grace_s": 3600})
        as_alice.delete(f"/api-keys/{key.pk}")
        assert status(key.secret) == 401

    def test_keeps_a_key_of_another_shape_findable(self, world: World, as_sam: APIClient) -> None:
        key, _ = keys.create(
            by=Principal(user=world.sam),
            maker=world.sam,
            name="x",
            scopes=["read"],
            secret="what I like",
            now=timezone.now(),
        )
        body = as_sam.post(f"/api-keys/{key.pk}/rotate", {}).json()
        assert (status(body["key"]), status("what I like")) == (200, 401)

    def test_refuses_a_key_that_has_expired(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice, expires_at=timezone.now() - timedelta(days=1))
        assert as_alice.post(f"/api-keys/{key.pk}/rotate", {}).status_code == 400

    def test_refuses_every_broken_body_by_name(self, world: World, as_alice: APIClient) -> None:
        key = ApiKeyFactory(maker=world.alice)
        assert sweep_bodies(as_alice, f"/api-keys/{key.pk}/rotate", {"grace_s": 60}) > 20
        for seconds in (-1, 604_801):
            Allowance.objects.all().delete()
            response = as_alice.post(f"/api-keys/{key.pk}/rotate", {"grace_s": seconds})
            assert set(assert_error(response)) == {"grace_s"}
