"""Closing a project, suspending a person, leaving a department: whole, repeatable, and finished by looking at the rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django_q.models import Schedule
from rest_framework.test import APIClient

from accounts import logins, suspensions
from accounts.models import ApiKey, Project, Scope, User
from accounts.principal import Principal
from billing.budgets import rows
from billing.budgets.rows import Target
from billing.models import Budget
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import Conflict, NotAuthenticated, NotFound, PermissionDenied, ValidationError
from portal import services, tasks
from tests.factories import ApiKeyFactory, ProjectFactory, UserFactory
from tests.vms.api.asking import made, post
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_of, client_with_key
from vms.lifecycle import Desired
from vms.models import VM

POCKET_MONEY = {"name": "Pocket money", "covers": "user", "limit_usd": 10}


@pytest.fixture
def vm(plane: ControlPlane, world: World, as_alice: APIClient) -> VM:
    """Alice's, in her department's project."""
    return made(as_alice, project_id=world.tournament.pk)


def wish(vm: VM) -> str:
    return VM.objects.get(pk=vm.pk).desired


def state(project: Project) -> str:
    return Project.objects.get(pk=project.pk).state


def close(client: APIClient, project: Project, *, cascade: bool = True) -> Any:
    return client.delete(f"/projects/{project.pk}{'?cascade=terminate' if cascade else ''}")


def set_on(client: APIClient, path: str, who: str, **limits: Any) -> Any:
    """A budget or a quota of a person, as somebody sets it over HTTP."""
    answer = client.post(path, {"user_id": who, **limits}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


class TestClosing:
    def test_is_refused_while_vms_live(self, vm: VM, world: World, as_mona: APIClient) -> None:
        answer = close(as_mona, world.tournament, cascade=False)
        assert (answer.status_code, answer.json()["error"]["details"]) == (409, {"vm_id": [str(vm.pk)]})
        assert (state(world.tournament), wish(vm)) == ("open", "running")

    def test_of_an_empty_project_is_over_at_once(self, world: World, as_mona: APIClient) -> None:
        answer = close(as_mona, world.tournament, cascade=False)
        assert (answer.status_code, answer.json()) == (202, {"message": "Project closing initiated"})
        body = as_mona.get(f"/projects/{world.tournament.pk}").json()
        assert (body["state"], body["closed_at"] is not None) == ("closed", True)

    def test_with_cascade_ends_all_and_closes_once_nothing_lives(
        self, plane: ControlPlane, vm: VM, world: World, as_mona: APIClient, as_bob: APIClient
    ) -> None:
        other = made(as_bob, project_id=world.tournament.pk)
        plane.until(other, "running")
        assert close(as_mona, world.tournament).status_code == 202
        assert (wish(vm), wish(other), state(world.tournament)) == ("gone", "gone", "closing")
        services.settle(plane.now())
        assert state(world.tournament) == "closing"
        plane.until(vm, "terminated")
        plane.until(other, "terminated")
        tasks.settle()
        assert state(world.tournament) == "closed"
        told = Event.objects.about("projects", world.tournament.pk).values_list("action", "actor")
        assert list(told) == [("delete", "user:mona@gamer.test"), ("closed", "policy:closing")]

    def test_twice_changes_nothing_more(self, vm: VM, world: World, as_mona: APIClient) -> None:
        assert [close(as_mona, world.tournament).status_code for _ in range(2)] == [202, 202]
        assert Event.objects.filter(resource="projects").count() == 1
        assert Event.objects.about("vms", vm.pk).filter(action="delete_asked").count() == 1

    def test_lets_nothing_new_in(self, vm: VM, world: World, as_mona: APIClient, as_bob: APIClient) -> None:
        close(as_mona, world.tournament)
        for path in ("/vms", "/launch/game"):
            body = {"console_type": "snes", "game_id": "zelda", "project_id": world.tournament.pk}
            answer = post(as_bob, path, body)
            assert (answer.status_code, list(answer.json()["error"]["details"])) == (409, ["project_id"])
        mine = made(as_bob)
        assert as_bob.patch(f"/vms/{mine.pk}", {"project_id": world.tournament.pk}).status_code == 409

    def test_frees_its_name(self, world: World, as_mona: APIClient) -> None:
        close(as_mona, world.tournament)
        made_again = as_mona.post("/projects", {"name": "Tournament", "for_department": True})
        assert made_again.status_code == 201

    def test_does_not_wait_for_what_somebody_has_ended(
        self, vm: VM, world: World, as_alice: APIClient, as_mona: APIClient
    ) -> None:
        as_alice.delete(f"/vms/{vm.pk}")
        assert close(as_mona, world.tournament, cascade=False).status_code == 202
        assert state(world.tournament) == "closing"

    def test_refuses_another_cascade(self, world: World, as_mona: APIClient) -> None:
        path = f"/projects/{world.tournament.pk}"
        for query in ("cascade=yes", "cascade=", "force=1", "cascade=terminate&cascade=terminate"):
            assert as_mona.delete(f"{path}?{query}").status_code == 400, query
        assert state(world.tournament) == "open"

    def test_by_a_departments_key_spares_what_a_member_launched_before_they_joined(
        self, plane: ControlPlane, world: World, as_charlie: APIClient, as_service: APIClient
    ) -> None:
        own = ProjectFactory(owner=world.charlie)
        before = made(as_charlie, project_id=own.pk)
        User.objects.filter(pk=world.charlie.pk).update(department=world.arcade, department_role="member")
        for cascade in (True, False):
            assert close(as_service, own, cascade=cascade).status_code == 409
        assert (state(own), wish(before)) == ("open", "running")
        assert close(client_of(User.objects.get(pk=world.charlie.pk)), own).status_code == 202
        assert (state(own), wish(before)) == ("closing", "gone")

    @pytest.mark.parametrize("point", ["project.marked", "project.closing"])
    def test_is_whole_wherever_we_die(self, plane: ControlPlane, vm: VM, world: World, point: str) -> None:
        by = Principal(user=world.mona)
        with dying_at(point), pytest.raises(Died):
            services.close_project(by=by, project=world.tournament, cascade=True, now=plane.now())
        before = (state(world.tournament), wish(vm))
        assert before == (("open", "running") if point == "project.marked" else ("closing", "gone"))
        services.close_project(by=by, project=world.tournament, cascade=True, now=plane.now())
        plane.until(vm, "terminated")
        services.settle(plane.now())
        assert state(world.tournament) == "closed"


class TestSettling:
    """The pass over the rows, which owes nothing to who marked them."""

    @pytest.mark.parametrize("point", ["settle.suspended", "settle.ended", "settle.closed"])
    def test_finishes_after_a_death_anywhere(
        self, plane: ControlPlane, vm: VM, world: World, as_bob: APIClient, point: str
    ) -> None:
        other = made(as_bob)
        Project.objects.filter(pk=world.tournament.pk).update(closing_at=plane.now())
        Project.objects.filter(pk=world.jam.pk).update(closing_at=plane.now())
        User.objects.filter(pk=world.bob.pk).update(is_active=False)
        with dying_at(point), pytest.raises(Died):
            services.settle(plane.now())
        services.settle(plane.now())
        assert (wish(vm), wish(other), state(world.jam)) == ("gone", "gone", "closed")
        plane.until(vm, "terminated")
        assert services.settle(plane.now()).closed == 1
        assert services.settle(plane.now()) == services.Settled(0, 0)
        assert Event.objects.filter(action="closed").count() == 2

    def test_leaves_alone_what_may_live(self, plane: ControlPlane, vm: VM) -> None:
        assert services.settle(plane.now()) == services.Settled(0, 0)
        assert wish(vm) == "running"

    def test_is_kept_on_a_schedule(self, plane: ControlPlane) -> None:
        services.seed(plane.now())
        services.seed(plane.now())
        schedule = Schedule.objects.get(func="portal.tasks.settle")
        assert (schedule.minutes, schedule.repeats) == (1, -1)


class TestSuspending:
    def test_ends_logins_keys_and_vms(
        self, plane: ControlPlane, vm: VM, world: World, as_sam: APIClient
    ) -> None:
        key = ApiKeyFactory(maker=world.alice, scopes=[Scope.READ, Scope.LAUNCH])
        another = made(client_with_key(key.secret), console_type="nes")
        pair = logins.begin(user=world.alice, now=plane.now())
        answer = as_sam.post(f"/users/{world.alice.pk}/suspend", {"reason": "Chargeback"})
        assert answer.status_code == 200
        assert answer.json()["suspended"]["reason"] == "Chargeback"
        assert (wish(vm), wish(another)) == ("gone", "gone")
        with pytest.raises(NotAuthenticated):
            logins.login_of(pair.access, plane.now())
        assert client_with_key(key.secret).get("/vms").status_code == 401
        plane.until(vm, "terminated")

    def test_keeps_services_from_acting_as_them(
        self, vm: VM, world: World, as_sam: APIClient, as_service: APIClient
    ) -> None:
        as_sam.post(f"/users/{world.alice.pk}/suspend", {"reason": "x"})
        body = {"console_type": "snes", "user_id": world.alice.handle}
        assert post(as_service, "/vms", body).status_code == 403

    def test_spares_what_staffs_services_made(
        self, plane: ControlPlane, world: World, as_service: APIClient, as_admin_key: APIClient
    ) -> None:
        """The site of a department goes on when the member of the staff who made its key is gone."""
        theirs = made(as_service)
        boss = UserFactory(is_staff=True, is_superuser=True)
        services.suspend(by=Principal(user=boss), user=world.sam, reason="left", now=plane.now())
        services.settle(plane.now())
        assert wish(theirs) == "running"

    def test_and_taking_back_is_told(self, vm: VM, world: World, as_sam: APIClient) -> None:
        path = f"/users/{world.alice.pk}"
        for verb in ("suspend", "suspend", "reinstate", "reinstate"):
            assert (
                as_sam.post(f"{path}/{verb}", {"reason": "x"} if verb == "suspend" else {}).status_code == 200
            )
        about = Event.objects.owned_by(world.alice.pk).filter(resource="users")
        assert list(about.values_list("action", "details")) == [
            ("suspend", {"reason": "x", "api_keys": 0}),
            ("resume", {}),
        ]
        assert wish(vm) == "gone"
        assert client_of(User.objects.get(pk=world.alice.pk)).get("/vms").status_code == 200

    def test_is_not_for_oneself_nor_without_a_reason(self, world: World, as_sam: APIClient) -> None:
        assert as_sam.post(f"/users/{world.sam.pk}/suspend", {"reason": "x"}).status_code == 409
        assert as_sam.post(f"/users/{world.alice.pk}/suspend", {"reason": " "}).status_code == 400
        with pytest.raises(ValidationError):
            suspensions.suspend(
                by=Principal(user=world.sam), user=world.alice, reason=" ", now=world.arcade.created_at
            )

    def test_of_administrators_is_theirs(self, world: World) -> None:
        helper = UserFactory(is_staff=True)
        with pytest.raises(PermissionDenied):
            services.suspend(
                by=Principal(user=helper), user=world.sam, reason="x", now=world.arcade.created_at
            )

    def test_is_whole_when_we_die(self, plane: ControlPlane, vm: VM, world: World) -> None:
        by = Principal(user=world.sam)
        with dying_at("suspend.marked"), pytest.raises(Died):
            services.suspend(by=by, user=world.alice, reason="x", now=plane.now())
        assert User.objects.get(pk=world.alice.pk).is_active
        assert wish(vm) == "running"

    def test_by_another_door_ends_vms_too(self, plane: ControlPlane, vm: VM, world: World) -> None:
        suspensions.suspend(by=Principal(user=world.sam), user=world.alice, reason="x", now=plane.now())
        assert wish(vm) == "running"
        assert services.settle(plane.now()).ended == 1
        assert wish(vm) == "gone"


class TestLeaving:
    def path(self, world: World, who: User, query: str = "") -> str:
        return f"/departments/{world.arcade.pk}/members/{who.handle}{query}"

    def test_waits_for_vms_or_ends_them(self, vm: VM, world: World, as_mona: APIClient) -> None:
        refused = as_mona.delete(self.path(world, world.alice))
        assert (refused.status_code, refused.json()["error"]["details"]) == (409, {"vm_id": [str(vm.pk)]})
        assert (User.objects.get(pk=world.alice.pk).department, wish(vm)) == (world.arcade, "running")
        assert as_mona.delete(self.path(world, world.alice, "?cascade=terminate")).status_code == 204
        alice = User.objects.get(pk=world.alice.pk)
        assert (alice.department, alice.department_role, wish(vm)) == (None, "", "gone")
        assert as_mona.get(f"/vms/{vm.pk}").status_code == 200

    def test_is_ones_own_choice(self, world: World, as_alice: APIClient, as_bob: APIClient) -> None:
        assert as_bob.delete(self.path(world, world.alice)).status_code == 404
        assert as_alice.delete(self.path(world, world.alice)).status_code == 204
        assert as_alice.get("/departments").json() == []
        left = Event.objects.get(action="leave")
        assert (left.actor, left.owner_id) == ("user:alice@gamer.test", world.alice.pk)

    def test_of_managers_is_the_owners(self, world: World, as_mona: APIClient) -> None:
        User.objects.filter(pk__in=[world.alice.pk, world.bob.pk]).update(department_role="manager")
        as_manager = client_of(User.objects.get(pk=world.alice.pk))
        assert as_manager.delete(self.path(world, world.bob)).status_code == 403
        assert as_manager.delete(self.path(world, world.mona)).status_code == 409
        assert as_mona.delete(self.path(world, world.bob)).status_code == 204

    def test_of_the_owner_waits_for_another(
        self, world: World, as_mona: APIClient, as_sam: APIClient
    ) -> None:
        assert as_mona.delete(self.path(world, world.mona)).status_code == 409
        assert "take over" in as_sam.delete(self.path(world, world.mona)).json()["detail"]
        User.objects.filter(pk=world.bob.pk).update(department_role="manager")
        assert as_sam.delete(self.path(world, world.mona)).status_code == 204
        assert Project.objects.get(pk=world.tournament.pk).owner == world.bob

    def test_leaves_projects_and_ends_keys_of_the_department(
        self, world: World, as_alice: APIClient, as_mona: APIClient
    ) -> None:
        theirs = ProjectFactory(owner=world.alice, department=world.arcade)
        hers = ProjectFactory(owner=world.alice)
        key = ApiKeyFactory(maker=world.alice, department=world.arcade)
        own_key = ApiKeyFactory(maker=world.alice)
        as_alice.delete(self.path(world, world.alice))
        owners = [Project.objects.get(pk=one.pk).owner for one in (theirs, hers)]
        assert owners == [world.mona, world.alice]
        assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
        assert ApiKey.objects.get(pk=own_key.pk).revoked_at is None

    def test_ends_what_managers_set_and_keeps_what_staff_did(
        self,
        plane: ControlPlane,
        world: World,
        as_alice: APIClient,
        as_bob: APIClient,
        as_mona: APIClient,
        as_sam: APIClient,
    ) -> None:
        bob, alice = world.bob.handle, world.alice.handle
        hers = [
            set_on(as_mona, "/billing/budgets", bob, **POCKET_MONEY)["budget_id"],
            set_on(as_mona, "/billing/budgets", bob, **POCKET_MONEY)["budget_id"],
        ]
        path = f"/billing/budgets/{hers[1]}"
        assert as_sam.patch(path, {"limit_usd": 1}, format="json").status_code == 200
        of_staff = set_on(as_sam, "/billing/budgets", bob, **POCKET_MONEY)["budget_id"]
        ours = set_on(as_mona, "/billing/budgets", alice, **POCKET_MONEY)["budget_id"]
        set_on(as_mona, "/quotas", bob, max_vms=0)
        quota = set_on(as_sam, "/quotas", alice, max_vms=5)
        assert as_bob.delete(self.path(world, world.bob)).status_code == 204
        assert as_alice.delete(self.path(world, world.alice)).status_code == 204

        budgets = {one["budget_id"]: one["is_active"] for one in as_sam.get("/billing/budgets").json()}
        assert budgets == {hers[0]: False, hers[1]: False, ours: False, of_staff: True}
        assert [one["quota_id"] for one in as_sam.get("/quotas").json()] == [quota["quota_id"]]
        assert made(as_bob).owner == world.bob
        told = Event.objects.filter(actor="policy:membership").order_by("id")
        assert [(one.action, one.owner_id) for one in told] == [
            *(("update", world.bob.pk), ("update", world.bob.pk)),
            *(("quota", world.bob.pk), ("update", world.alice.pk)),
        ]

    def test_ends_what_a_manager_does_at_the_same_moment(self, world: World, as_bob: APIClient) -> None:
        """They looked before and write after."""
        by, bob = Principal(user=world.mona), User.objects.get(pk=world.bob.pk)
        wish = {"by": by, "name": "Bob's", "limit_usd": Decimal(1), "now": world.arcade.created_at}
        known = rows.create(**wish, target=Target(user=bob)).budget
        assert as_bob.delete(self.path(world, world.bob)).status_code == 204
        with pytest.raises(Conflict, match="a moment ago"):
            rows.create(**wish, target=Target(user=bob))
        with pytest.raises(NotFound):
            rows.change(by=by, budget=known, is_active=True, now=world.arcade.created_at)
        assert not Budget.objects.filter(is_active=True).exists()

    def test_is_not_for_who_is_nobody_without_it(self, world: World, as_mona: APIClient) -> None:
        kim = User.objects.create(handle="kim", department=world.arcade)
        assert as_mona.delete(self.path(world, kim)).status_code == 409

    def test_is_refused_in_words_where_the_name_is_taken(self, world: World) -> None:
        UserFactory(email="other@gamer.test", handle=world.alice.handle)
        with pytest.raises(Conflict, match="same user_id"):
            services.remove_member(
                by=Principal(user=world.alice),
                department=world.arcade,
                member=world.alice,
                now=world.arcade.created_at,
            )

    def test_ends_only_what_was_the_departments(
        self, plane: ControlPlane, vm: VM, world: World, as_alice: APIClient
    ) -> None:
        before = made(as_alice, console_type="nes")
        VM.objects.filter(pk=before.pk).update(department=None)
        as_alice.delete(self.path(world, world.alice, "?cascade=terminate"))
        assert (wish(vm), wish(before)) == (Desired.GONE, Desired.RUNNING)

    def test_keeps_them_from_going_on_at_its_expense(
        self, vm: VM, world: World, as_alice: APIClient, as_mona: APIClient, as_sam: APIClient
    ) -> None:
        """Of a VM in error they see and try again, that of the department no more; whoever asks."""
        VM.objects.filter(pk=vm.pk).update(phase="failed", desired="gone", error="lost", next_look_at=None)
        assert as_alice.delete(self.path(world, world.alice)).status_code == 204
        for client in (as_alice, as_mona, as_sam):
            refused = client.post(f"/vms/{vm.pk}/retry")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
            assert "no longer of the department" in refused.json()["detail"]
        assert VM.objects.get(pk=vm.pk).phase == "failed"

    def test_leaves_them_what_was_theirs_alone(
        self, plane: ControlPlane, world: World, as_alice: APIClient
    ) -> None:
        private = made(as_alice, console_type="nes")
        VM.objects.filter(pk=private.pk).update(
            department=None, phase="failed", desired="gone", error="lost", next_look_at=None
        )
        assert as_alice.delete(self.path(world, world.alice)).status_code == 204
        assert as_alice.post(f"/vms/{private.pk}/retry").status_code == 202

    def test_stops_the_mails_about_the_departments_spending(
        self, world: World, as_mona: APIClient, as_sam: APIClient
    ) -> None:
        told = ["Bob@gamer.test", "alice@gamer.test", "mona@gamer.test"]
        wish = {
            "name": "Arcade", "covers": "department", "department_id": world.arcade.pk, "limit_usd": 10, "emails": told,
        }  # fmt: skip
        for client in (as_mona, as_sam):
            assert client.post("/billing/budgets", wish, format="json").status_code == 201
        for who, left in ((world.bob, told[1:]), (world.alice, told[2:])):
            assert as_mona.delete(self.path(world, who)).status_code == 204
            assert [one.emails for one in Budget.objects.order_by("pk")] == [left, told]
