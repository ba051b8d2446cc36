"""Whose rows: managers see and steer all that is the department's, members their own, and nobody anything of another tenant."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Project, Quota, Scope, User
from events.models import Event
from tests.billing.usage import of, used
from tests.factories import ApiKeyFactory, ProjectFactory, QuotaFactory
from tests.vms.api.asking import SNES, made, post, run_ahead, running
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_of, client_with_key
from vms.models import VM, GameSession

NESTED = ["", "/status", "/connection", "/events", "/attempts", "/steps", "/sessions"]


@pytest.fixture
def vm(plane: ControlPlane, world: World, as_alice: APIClient) -> VM:
    """Alice's, in her department's project."""
    return running(plane, as_alice, project_id=world.tournament.pk)


def sees(client: APIClient, vm: VM) -> set[bool]:
    """The answers of every way there is to look."""
    session = GameSession.objects.filter(vm=vm).first()
    paths = [f"/vms/{vm.pk}{path}" for path in NESTED] + ([f"/sessions/{session.pk}"] if session else [])
    answers = [client.get(path) for path in paths]
    filters = [{}, {"user_id": vm.owner.handle}] if vm.owner else [{}]
    filters += [{"project_id": vm.project_id}] if vm.project_id else []
    filters += [{"console_type": vm.console_id}, {"ordering": "created_at"}]
    listed = [{one["vm_id"] for one in client.get("/vms", query).json()} for query in filters]
    return {answer.status_code == 200 for answer in answers} | {str(vm.pk) in found for found in listed}


class TestVms:
    def test_are_seen_by_their_owner_the_projects_and_the_departments(
        self,
        vm: VM,
        world: World,
        as_alice: APIClient,
        as_mona: APIClient,
        as_sam: APIClient,
        as_service: APIClient,
    ) -> None:
        User.objects.filter(pk=world.bob.pk).update(department_role="manager")
        as_manager = client_of(User.objects.get(pk=world.bob.pk))
        scopes = [Scope.READ, Scope.LAUNCH, Scope.ACT_AS]
        of_manager = ApiKeyFactory(maker=world.mona, department=world.arcade, scopes=scopes)
        keys = (as_service, client_with_key(of_manager.secret))
        clients = (as_alice, as_mona, as_manager, as_sam, *keys)
        assert [sees(client, vm) for client in clients] == [{True}] * len(clients)

    def test_in_a_project_are_seen_by_who_made_it(
        self, plane: ControlPlane, world: World, as_bob: APIClient, as_alice: APIClient
    ) -> None:
        theirs = ProjectFactory(owner=world.bob, department=world.arcade)
        vm, other = made(as_alice, project_id=theirs.pk), made(as_alice, console_type="nes")
        assert sees(as_bob, vm) == {True}
        assert sees(as_bob, other) == {False}

    def test_are_not_seen_by_colleagues_nor_other_tenants(
        self, vm: VM, world: World, as_bob: APIClient, as_charlie: APIClient, as_oscar: APIClient
    ) -> None:
        scopes = [Scope.READ, Scope.LAUNCH, Scope.ACT_AS]
        keys = [
            ApiKeyFactory(maker=world.sam, department=world.palace, scopes=scopes),
            ApiKeyFactory(maker=world.bob, department=world.arcade, scopes=scopes),
            ApiKeyFactory(maker=world.oscar, department=world.palace, scopes=scopes),
        ]
        clients = (as_bob, as_charlie, as_oscar, *(client_with_key(key.secret) for key in keys))
        assert [sees(client, vm) for client in clients] == [{False}] * len(clients)

    def test_of_keys_and_nobody_are_seen_by_the_departments_managers(
        self,
        plane: ControlPlane,
        world: World,
        as_service: APIClient,
        as_mona: APIClient,
        as_alice: APIClient,
        as_oscar: APIClient,
    ) -> None:
        vm = made(as_service)
        assert vm.department == world.arcade
        assert [sees(client, vm) for client in (as_mona, as_alice, as_oscar)] == [{True}, {False}, {False}]

    def test_from_before_somebody_joined_stay_their_own(
        self, plane: ControlPlane, world: World, as_charlie: APIClient, as_mona: APIClient
    ) -> None:
        before = made(as_charlie)
        User.objects.filter(pk=world.charlie.pk).update(department=world.arcade, department_role="member")
        after = made(client_of(User.objects.get(pk=world.charlie.pk)), console_type="nes")
        assert (sees(as_mona, before), sees(as_mona, after)) == ({False}, {True})

    def test_from_before_somebody_joined_are_of_no_key_of_the_department(
        self, plane: ControlPlane, world: World, as_charlie: APIClient, as_service: APIClient
    ) -> None:
        """Not even of one that acts as them, which any manager makes."""
        before = running(plane, as_charlie)
        User.objects.filter(pk=world.charlie.pk).update(department=world.arcade, department_role="member")
        scopes = [Scope.READ, Scope.LAUNCH, Scope.ACT_AS]
        of_manager = ApiKeyFactory(maker=world.mona, department=world.arcade, scopes=scopes)
        after = made(client_of(User.objects.get(pk=world.charlie.pk)), console_type="nes")
        for key in (as_service, client_with_key(of_manager.secret)):
            assert (sees(key, before), sees(key, after)) == ({False}, {True})
            asked = {"console_type": before.console_id, "game_id": "tetris", "user_id": world.charlie.handle}
            refused = post(key, "/launch/game", asked)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
            assert post(key, "/launch/game", {**asked, "console_type": "nes"}).status_code == 200
        assert not before.sessions.filter(game_id="tetris").exists()

    def test_from_before_somebody_joined_are_in_no_numbers_of_their_own_project(
        self, plane: ControlPlane, world: World, as_charlie: APIClient
    ) -> None:
        own, start = ProjectFactory(owner=world.charlie), timezone.now().replace(day=1, hour=0, minute=0)
        hour = (start, start + timedelta(hours=1))
        run_ahead(plane)
        running(plane, as_charlie, project_id=own.pk)
        used(of(world.charlie, project=own), *hour, cost="2", charge="3")
        User.objects.filter(pk=world.charlie.pk).update(department=world.arcade, department_role="member")
        charlie = User.objects.get(pk=world.charlie.pk)
        scopes = [Scope.READ, Scope.LAUNCH, Scope.ACT_AS]
        key = client_with_key(ApiKeyFactory(maker=world.mona, department=world.arcade, scopes=scopes).secret)
        path = f"/projects/{own.pk}/stats"
        told = key.get(path).json()
        nothing = {"runtime_hours": 0, "estimated_cost_usd": 0}
        assert (sum(told["vms_by_status"].values()), told["held"]["vms"]) == (0, 0)
        assert (told["total"], told["this_month"]) == (nothing, nothing)
        used(of(charlie, project=own), *hour, cost="4", charge="5")
        assert key.get(path).json()["total"] == {"runtime_hours": 1, "estimated_cost_usd": 5}
        whole = client_of(charlie).get(path).json()
        assert (whole["held"]["vms"], whole["total"]["estimated_cost_usd"]) == (1, 8)

    def test_are_steered_by_managers_and_nobody_else(
        self, vm: VM, as_mona: APIClient, as_bob: APIClient, as_oscar: APIClient
    ) -> None:
        row = VM.objects.values().get(pk=vm.pk)
        for client in (as_bob, as_oscar):
            answers = [post(client, f"/vms/{vm.pk}/{act}") for act in ("start", "stop", "retry", "extend")]
            answers += [client.delete(f"/vms/{vm.pk}"), client.patch(f"/vms/{vm.pk}", {"project_id": None})]
            assert {answer.status_code for answer in answers} == {404}
        assert VM.objects.values().get(pk=vm.pk) == row
        assert as_mona.delete(f"/vms/{vm.pk}").status_code == 202
        told = Event.objects.about("vms", vm.pk).get(action="delete_asked")
        assert told.actor == "user:mona@gamer.test"

    def test_of_managers_are_seen_while_they_manage(self, vm: VM, world: World) -> None:
        User.objects.filter(pk=world.mona.pk).update(department_role="member")
        world.tournament.owner = world.oscar
        Project.objects.filter(pk=world.tournament.pk).update(owner=world.bob)
        assert sees(client_of(User.objects.get(pk=world.mona.pk)), vm) == {False}


class TestKeys:
    def test_that_act_as_reach_no_other_department(
        self, plane: ControlPlane, world: World, as_service: APIClient
    ) -> None:
        """A name of another department is a new user of the key's own."""
        answer = post(as_service, "/vms", {**SNES, "user_id": world.oscar.handle})
        assert answer.status_code == 201
        assert VM.objects.get().owner.department == world.arcade
        assert VM.objects.get().owner != world.oscar
        for project in (world.jam.pk, ProjectFactory(owner=world.charlie).pk):
            refused = post(as_service, "/vms", {**SNES, "user_id": "kim", "project_id": project})
            assert (refused.status_code, refused.json()["error"]["details"]) == (
                400,
                {"project_id": ["Unknown project."]},
            )
            nobodys = post(as_service, "/vms", {**SNES, "project_id": project})
            assert nobodys.status_code == 400

    def test_that_act_as_become_no_staff(
        self, plane: ControlPlane, world: World, as_service: APIClient, as_admin_key: APIClient
    ) -> None:
        User.objects.filter(pk=world.sam.pk).update(department=world.arcade, department_role="member")
        for client in (as_service, as_admin_key):
            for path in ("/vms", "/projects"):
                body = SNES if path == "/vms" else {"name": "x"}
                assert post(client, path, {**body, "user_id": world.sam.handle}).status_code == 403

    def test_launch_for_nobody_in_the_departments_project(
        self, plane: ControlPlane, world: World, as_service: APIClient
    ) -> None:
        vm = made(as_service, project_id=world.tournament.pk)
        assert (vm.owner, vm.project, vm.department) == (None, world.tournament, world.arcade)


class TestEverything:
    def test_of_another_tenant_is_not_there(self, vm: VM, world: World, as_oscar: APIClient) -> None:
        """Every path with an id of Arcade's, asked by the owner of Palace."""
        quota = QuotaFactory(project=world.tournament, max_vms=9)
        department, project = f"/departments/{world.arcade.pk}", f"/projects/{world.tournament.pk}"
        member = f"{department}/members/alice@gamer.test"
        asked = [
            *(
                (as_oscar.get, path)
                for path in (department, f"{department}/members", f"{department}/invitations")
            ),
            *((as_oscar.get, path) for path in (project, f"{project}/stats", f"/quotas/{quota.pk}")),
            *((as_oscar.patch, path) for path in (department, project, member, f"/quotas/{quota.pk}")),
            *((as_oscar.delete, path) for path in (project, member, f"/quotas/{quota.pk}", f"/vms/{vm.pk}")),
            (as_oscar.post, f"{department}/invitations"),
        ]
        assert {(path, method(path).status_code) for method, path in asked} == {
            (path, 404) for _, path in asked
        }
        assert Quota.objects.count() == 1

    def test_of_another_tenant_is_in_no_list(self, vm: VM, world: World, as_oscar: APIClient) -> None:
        QuotaFactory(department=world.arcade, max_vms=9)
        lists = {
            path: as_oscar.get(path)
            for path in ("/vms", "/quotas", "/projects", "/departments", "/users/me/activity")
        }
        assert {path: answer["X-Total-Count"] for path, answer in lists.items()} == {
            "/vms": "0", "/quotas": "0", "/projects": "1", "/departments": "1", "/users/me/activity": "0",
        }  # fmt: skip
        assert as_oscar.get("/users/me/dashboard").json()["vms"] == []
