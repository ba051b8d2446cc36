"""Projects: a person's own or their department's."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import projects
from accounts.models import Project, Scope, User
from events.models import Event
from tests.bad_inputs import assert_error, sweep_bodies, sweep_query
from tests.factories import ApiKeyFactory, ProjectFactory
from tests.world import World, client_with_key

pytestmark = pytest.mark.django_db


def names(client: APIClient, **query: Any) -> list[str]:
    return [one["name"] for one in client.get("/projects", query).json()]


class TestMaking:
    def test_makes_ones_own(self, world: World, as_alice: APIClient) -> None:
        answer = as_alice.post("/projects", {"name": "Solo", "description": "Mine"})
        assert answer.status_code == 201
        body = answer.json()
        assert (body["user_id"], body["department_id"], body["state"]) == ("alice@gamer.test", None, "open")
        assert answer["Location"].endswith(f"/projects/{body['project_id']}")
        assert as_alice.get(f"/projects/{body['project_id']}").json() == body
        event = Event.objects.get(resource="projects")
        assert (event.action, event.owner_id, event.project_id) == (
            "create",
            world.alice.pk,
            body["project_id"],
        )

    def test_makes_the_departments(self, world: World, as_alice: APIClient, as_charlie: APIClient) -> None:
        body = as_alice.post("/projects", {"name": "Cup", "for_department": True}).json()
        assert body["department_id"] == world.arcade.pk
        refused = as_charlie.post("/projects", {"name": "Cup", "for_department": True})
        assert (refused.status_code, list(assert_error(refused))) == (400, ["for_department"])

    def test_takes_a_name_once_while_it_is_open(self, world: World, as_alice: APIClient) -> None:
        answers = [as_alice.post("/projects", {"name": name}) for name in ("Solo", "SOLO")]
        assert [one.status_code for one in answers] == [201, 409]
        Project.objects.filter(name="Solo").update(closing_at=timezone.now())
        assert as_alice.post("/projects", {"name": "Solo"}).status_code == 201

    def test_is_refused_where_as_many_are_open_as_may_be(self, world: World, as_alice: APIClient) -> None:
        Project.objects.bulk_create(
            Project(name=f"{n}", owner=world.alice) for n in range(projects.MOST_PROJECTS - 1)
        )
        assert as_alice.post("/projects", {"name": "The last"}).status_code == 201
        refused = as_alice.post("/projects", {"name": "One more"})
        assert (refused.status_code, list(assert_error(refused))) == (409, ["projects"])
        Project.objects.filter(name="The last").update(closing_at=timezone.now())
        assert as_alice.post("/projects", {"name": "One more"}).status_code == 201

    def test_by_a_key_names_an_owner(self, world: World, as_service: APIClient, as_reader: APIClient) -> None:
        made = as_service.post("/projects", {"name": "Cup", "user_id": "kim", "for_department": True}).json()
        assert (made["user_id"], made["department_id"]) == ("kim", world.arcade.pk)
        refused = as_service.post("/projects", {"name": "Cup"})
        assert (refused.status_code, list(assert_error(refused))) == (400, ["user_id"])
        assert as_reader.post("/projects", {"name": "Cup"}).status_code == 403

    def test_is_for_oneself(self, world: World, as_alice: APIClient) -> None:
        assert as_alice.post("/projects", {"name": "x", "user_id": "bob@gamer.test"}).status_code == 403

    def test_refuses_every_broken_body(self, world: World, as_alice: APIClient) -> None:
        right = {"name": "New", "description": "", "for_department": False}
        assert sweep_bodies(as_alice, "/projects", right) > 40
        assert Project.objects.count() == 2


class TestSeeing:
    def test_is_of_ones_own_and_the_departments(
        self, world: World, as_alice: APIClient, as_charlie: APIClient, as_sam: APIClient
    ) -> None:
        ProjectFactory(name="Alice's", owner=world.alice)
        ProjectFactory(name="Bob's", owner=world.bob)
        assert names(as_alice) == ["Alice's", "Tournament"]
        assert names(as_charlie) == []
        assert names(as_sam) == ["Bob's", "Alice's", "Jam", "Tournament"]

    def test_is_bounded_by_filters_not_widened(self, world: World, as_alice: APIClient) -> None:
        ProjectFactory(name="Bob's", owner=world.bob)
        assert names(as_alice, user_id="bob@gamer.test") == []
        assert names(as_alice, state="open") == ["Tournament"]
        assert names(as_alice, state="closed") == []
        assert sweep_query(as_alice, "/projects", {"state": "open", "user_id": "x", "limit": "5"}) > 50

    def test_of_anothers_finds_nothing(self, world: World, as_alice: APIClient, as_oscar: APIClient) -> None:
        private = ProjectFactory(owner=world.bob)
        for client, project in ((as_alice, world.jam), (as_alice, private), (as_oscar, world.tournament)):
            path = f"/projects/{project.pk}"
            assert client.get(path).status_code == 404
            assert client.get(f"{path}/stats").status_code == 404
            assert client.patch(path, {"name": "mine"}).status_code == 404
            assert client.delete(path).status_code == 404
            assert client.delete(f"{path}?cascade=terminate").status_code == 404
        assert not Project.objects.exclude(closing_at=None).exists()

    def test_by_key_is_of_whom_it_speaks_for(self, world: World) -> None:
        ProjectFactory(name="Alice's", owner=world.alice)
        ProjectFactory(name="Charlie's", owner=world.charlie)
        scopes = [Scope.READ, Scope.LAUNCH]
        seen = {
            "of alice": ApiKeyFactory(maker=world.alice, scopes=scopes),
            "of alice for the department": ApiKeyFactory(
                maker=world.alice, department=world.arcade, scopes=scopes
            ),
            "of the department": ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=scopes),
            "of the staff for nobody": ApiKeyFactory(maker=world.sam, scopes=scopes),
            "of the staff for all": ApiKeyFactory(maker=world.sam, scopes=[*scopes, Scope.ACT_AS]),
        }
        assert {who: names(client_with_key(key.secret)) for who, key in seen.items()} == {
            "of alice": ["Alice's"],
            "of alice for the department": ["Alice's", "Tournament"],
            "of the department": ["Alice's", "Tournament"],
            "of the staff for nobody": [],
            "of the staff for all": ["Charlie's", "Alice's", "Jam", "Tournament"],
        }

    def test_by_key_ends_with_its_makers_membership(self, world: World) -> None:
        key = ApiKeyFactory(maker=world.alice, department=world.arcade, scopes=[Scope.READ])
        User.objects.filter(pk=world.alice.pk).update(department=None, department_role="")
        assert names(client_with_key(key.secret)) == []


class TestChanging:
    def test_is_the_creators_and_the_managers(
        self, world: World, as_alice: APIClient, as_mona: APIClient, as_bob: APIClient
    ) -> None:
        project = ProjectFactory(name="Cup", owner=world.alice, department=world.arcade)
        path = f"/projects/{project.pk}"
        assert as_alice.patch(path, {"name": "Hers"}).json()["name"] == "Hers"
        assert as_mona.patch(path, {"description": "Ours"}).json()["description"] == "Ours"
        assert as_bob.patch(path, {"name": "x"}).status_code == 403
        assert as_bob.delete(path).status_code == 403

    def test_refuses_a_taken_name_and_a_closing_project(self, world: World, as_mona: APIClient) -> None:
        ProjectFactory(name="Cup", owner=world.alice, department=world.arcade)
        path = f"/projects/{world.tournament.pk}"
        assert as_mona.patch(path, {"name": "CUP"}).status_code == 409
        Project.objects.update(closing_at=timezone.now())
        assert as_mona.patch(path, {"name": "Other"}).status_code == 409

    def test_by_key_needs_to_act_as_the_owner(self, world: World, as_service: APIClient) -> None:
        path = f"/projects/{world.tournament.pk}"
        weaker = ApiKeyFactory(maker=world.sam, department=world.arcade, scopes=[Scope.READ, Scope.LAUNCH])
        assert client_with_key(weaker.secret).patch(path, {"name": "x"}).status_code == 403
        assert as_service.patch(path, {"name": "Cup"}).status_code == 200

    def test_refuses_every_broken_body(self, world: World, as_mona: APIClient) -> None:
        right = {"name": "New", "description": "d"}
        assert sweep_bodies(as_mona, f"/projects/{world.tournament.pk}", right, method="PATCH") > 30
        assert Project.objects.get(pk=world.tournament.pk).name == "Tournament"
