"""Departments: who sees them, who runs them, who is what in them."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import departments
from accounts.models import Department, DepartmentRole, User
from accounts.principal import Principal
from events.models import Event
from gamer.errors import Conflict
from tests.at_once import at_once
from tests.bad_inputs import assert_error, sweep_bodies
from tests.factories import DepartmentFactory, UserFactory
from tests.world import NOON, World, build, client_of

pytestmark = pytest.mark.django_db


def role_of(user: User) -> str:
    return User.objects.get(pk=user.pk).department_role


def path_of(department: Department, rest: str = "") -> str:
    return f"/departments/{department.pk}{rest}"


class TestList:
    def test_is_of_ones_own(self, world: World, as_alice: APIClient, as_charlie: APIClient) -> None:
        assert as_alice.get("/departments").json() == [
            {
                "department_id": world.arcade.pk,
                "name": "Arcade",
                "role": "member",
                "created_at": as_alice.get(path_of(world.arcade)).json()["created_at"],
            }
        ]
        assert as_charlie.get("/departments").json() == []

    def test_is_of_all_for_staff(self, world: World, as_sam: APIClient, as_admin_key: APIClient) -> None:
        for client in (as_sam, as_admin_key):
            assert [(one["name"], one["role"]) for one in client.get("/departments").json()] == [
                ("Arcade", None),
                ("Palace", None),
            ]

    def test_is_of_the_keys_department(self, world: World, as_service: APIClient) -> None:
        assert [one["name"] for one in as_service.get("/departments").json()] == ["Arcade"]


class TestMaking:
    def test_is_the_staffs(
        self, world: World, as_sam: APIClient, as_mona: APIClient, as_service: APIClient
    ) -> None:
        answer = as_sam.post("/departments", {"name": " Dungeon "})
        assert answer.json()["name"] == "Dungeon"
        assert as_sam.get(answer["Location"]).json() == answer.json()
        for client in (as_mona, as_service):
            assert client.post("/departments", {"name": "Mine"}).status_code == 403
        assert Event.objects.get(resource="departments").actor == "user:sam@gamer.test"

    def test_refuses_a_taken_name(self, world: World, as_sam: APIClient) -> None:
        answer = as_sam.post("/departments", {"name": "Arcade"})
        assert answer.status_code == 409
        assert assert_error(answer) == {"name": ["This name is taken."]}

    def test_refuses_every_broken_body(self, world: World, as_sam: APIClient) -> None:
        assert sweep_bodies(as_sam, "/departments", {"name": "New"}) > 20
        assert Department.objects.count() == 2


class TestRenaming:
    def test_is_the_managers(self, world: World, as_mona: APIClient, as_alice: APIClient) -> None:
        assert as_mona.patch(path_of(world.arcade), {"name": "Hall"}).json()["name"] == "Hall"
        assert as_alice.patch(path_of(world.arcade), {"name": "x"}).status_code == 403
        assert as_mona.patch(path_of(world.palace), {"name": "x"}).status_code == 404
        event = Event.objects.get(action="update")
        assert (event.department_id, event.details) == (world.arcade.pk, {"name": ["Arcade", "Hall"]})


class TestDeleting:
    def test_is_refused_while_anything_is_its_own(self, world: World, as_sam: APIClient) -> None:
        assert "people" in as_sam.delete(path_of(world.arcade)).json()["detail"]
        User.objects.filter(department=world.palace).update(department=None, department_role="")
        answer = as_sam.delete(path_of(world.palace))
        assert (answer.status_code, "projects: Jam" in answer.json()["detail"]) == (409, True)
        world.jam.delete()
        assert as_sam.delete(path_of(world.palace)).status_code == 204
        assert as_sam.get(path_of(world.palace)).status_code == 404

    def test_is_refused_while_it_has_a_history(self, world: World, as_sam: APIClient) -> None:
        User.objects.filter(department=world.arcade).update(department=None, department_role="")
        world.tournament.delete()
        answer = as_sam.delete(path_of(world.arcade))
        assert (answer.status_code, answer.json()["detail"]) == (409, "Arcade has a history: API keys.")

    def test_is_the_staffs(self, world: World, as_mona: APIClient) -> None:
        assert as_mona.delete(path_of(world.arcade)).status_code == 403


class TestMembers:
    def test_are_listed_for_who_manages(self, world: World, as_mona: APIClient, as_sam: APIClient) -> None:
        for client in (as_mona, as_sam):
            listed = client.get(path_of(world.arcade, "/members")).json()
            assert [(one["first_name"], one["role"]) for one in listed] == [
                ("Alice", "member"),
                ("Bob", "member"),
                ("Mona", "owner"),
            ]

    def test_see_themselves(self, world: World, as_alice: APIClient) -> None:
        assert [one["user_id"] for one in as_alice.get(path_of(world.arcade, "/members")).json()] == [
            "alice@gamer.test"
        ]

    def test_of_others_are_not_there(self, world: World, as_oscar: APIClient, as_charlie: APIClient) -> None:
        for client in (as_oscar, as_charlie):
            for method in (client.get, client.post):
                assert method(path_of(world.arcade, "/invitations")).status_code == 404
            assert client.get(path_of(world.arcade, "/members")).status_code == 404
            for rest in ("/members/alice@gamer.test", "/members/oscar@gamer.test"):
                assert client.patch(path_of(world.arcade, rest), {"role": "member"}).status_code == 404
                assert client.delete(path_of(world.arcade, rest)).status_code == 404
        assert as_oscar.delete(path_of(world.palace, "/members/alice@gamer.test")).status_code == 404


class TestRoles:
    def put(self, client: APIClient, world: World, who: User, role: str) -> Any:
        return client.patch(path_of(world.arcade, f"/members/{who.handle}"), {"role": role})

    def test_of_managers_are_given_and_taken_by_the_owner(self, world: World, as_mona: APIClient) -> None:
        assert self.put(as_mona, world, world.alice, "manager").json()["role"] == "manager"
        as_manager = client_of(User.objects.get(pk=world.alice.pk))
        assert self.put(as_manager, world, world.bob, "manager").status_code == 403
        assert self.put(as_manager, world, world.mona, "member").status_code == 403
        assert self.put(as_mona, world, world.alice, "member").json()["role"] == "member"

    def test_are_not_raised_by_oneself(self, world: World, as_alice: APIClient) -> None:
        for role in ("manager", "owner"):
            assert self.put(as_alice, world, world.alice, role).status_code == 403
        assert role_of(world.alice) == "member"

    def test_hand_the_department_over(self, world: World, as_mona: APIClient) -> None:
        assert self.put(as_mona, world, world.alice, "owner").status_code == 200
        assert (role_of(world.alice), role_of(world.mona)) == ("owner", "manager")
        assert self.put(as_mona, world, world.bob, "manager").status_code == 403
        changes = [
            (one.details["user_id"], one.details["role"]) for one in Event.objects.filter(action="role")
        ]
        assert changes == [
            ("mona@gamer.test", ["owner", "manager"]),
            ("alice@gamer.test", ["member", "owner"]),
        ]

    def test_keep_the_owner_until_there_is_another(self, world: World, as_mona: APIClient) -> None:
        assert self.put(as_mona, world, world.mona, "member").status_code == 409

    def test_are_not_given_to_who_cannot_log_in(self, world: World, as_mona: APIClient) -> None:
        kim = User.objects.create(handle="kim", department=world.arcade)
        assert self.put(as_mona, world, kim, "manager").status_code == 409

    def test_refuse_every_broken_body(self, world: World, as_mona: APIClient) -> None:
        path = path_of(world.arcade, "/members/alice@gamer.test")
        assert sweep_bodies(as_mona, path, {"role": "manager"}, method="PATCH") > 20
        assert role_of(world.alice) == "member"

    @pytest.mark.django_db(transaction=True)
    def test_handed_over_twice_at_once_leave_one_owner(self, transactional_db: None) -> None:
        world = build()
        by = Principal(user=world.mona)
        at_once(
            *[
                lambda heir=heir: departments.set_role(
                    by=by, department=world.arcade, member=heir, role="owner", now=NOON
                )
                for heir in (world.alice, world.bob)
            ]
        )
        owners = User.objects.filter(department=world.arcade, department_role=DepartmentRole.OWNER)
        assert owners.count() == 1
        assert owners.get() in (world.alice, world.bob)


class TestJoining:
    def test_is_for_who_is_of_no_department(self, world: World) -> None:
        with pytest.raises(Conflict):
            departments.join(
                by=Principal(user=world.sam),
                department=world.palace,
                person=world.alice,
                role="member",
                now=NOON,
            )

    def test_keeps_user_ids_apart(self, world: World) -> None:
        UserFactory(email="x@gamer.test", handle=world.charlie.handle, department=world.palace)
        with pytest.raises(Conflict, match="already has somebody of this user_id"):
            departments.join(
                by=Principal(user=world.sam),
                department=world.palace,
                person=world.charlie,
                role="member",
                now=NOON,
            )

    def test_takes_no_second_owner(self, world: World) -> None:
        join = {"by": Principal(user=world.sam), "person": world.charlie, "role": "owner", "now": NOON}
        with pytest.raises(Conflict):
            departments.join(department=world.arcade, **join)
        assert departments.join(department=DepartmentFactory(), **join).department_role == "owner"


class TestKeys:
    def test_run_no_department(self, world: World, as_service: APIClient) -> None:
        """A key acts for people; who is in the department is theirs to say."""
        paths = [("/invitations", {"email": "x@gamer.test"})]
        assert [as_service.post(path_of(world.arcade, *one[:1]), one[1]).status_code for one in paths] == [
            403
        ]
        member = path_of(world.arcade, "/members/alice@gamer.test")
        assert as_service.patch(member, {"role": "manager"}).status_code == 403
        assert as_service.delete(member).status_code == 403
        assert as_service.patch(path_of(world.arcade), {"name": "x"}).status_code == 403
