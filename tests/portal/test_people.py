"""`/users/me` and the staff's `/users`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import CreditAccount
from events.models import Event
from tests.bad_inputs import sweep_bodies, sweep_query
from tests.billing.usage import of, used
from tests.factories import ProjectFactory, QuotaFactory, UserFactory
from tests.vms.api.asking import made, run_ahead, running
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_of
from vms.models import VM, Attempt

DASHBOARD, ACTIVITY = "/users/me/dashboard", "/users/me/activity"


def an_hour_old() -> None:
    """The plane's clock is ahead of the views': what it bought has cost nothing yet by theirs."""
    Attempt.objects.update(
        sent_at=F("sent_at") - timedelta(hours=1), answered_at=F("answered_at") - timedelta(hours=1)
    )


def an_hour() -> tuple[datetime, datetime]:
    """The first one of this month, which is over for the plane if not for the views."""
    start = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=1)


def statements(call: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert call().status_code == 200
    return len(seen)


class TestDashboard:
    def test_shows_what_is_mine_in_one_answer(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_bob: APIClient
    ) -> None:
        QuotaFactory(user=world.alice, max_vms=3)
        own = ProjectFactory(name="Solo", owner=world.alice)
        run_ahead(plane)
        vm = running(plane, as_alice, project_id=own.pk)
        made(as_bob)
        used(of(world.alice), *an_hour(), charge="1.5")
        body = as_alice.get(DASHBOARD).json()
        assert (body["user"]["user_id"], body["user"]["department_role"]) == ("alice@gamer.test", "member")
        assert {name: count for name, count in body["vms_by_status"].items() if count} == {"running": 1}
        assert [one["vm_id"] for one in body["vms"]] == [str(vm.pk)]
        assert body["held"]["vms"] == body["held"]["gpu_vms"] == 1
        assert body["this_month"] == {"runtime_hours": 1, "estimated_cost_usd": 1.5}
        assert body["credit_usd"] == float(CreditAccount.objects.get(user=world.alice).available_usd)
        assert [(one["name"], one["live_vms"]) for one in body["projects"]] == [
            ("Solo", 1),
            ("Tournament", 0),
        ]
        assert [one["used"]["vms"] for one in body["quotas"]] == [1]
        assert 4 < len(body["recent_events"]) <= 10
        assert {one["resource_id"] for one in body["recent_events"]} <= {str(vm.pk)}

    def test_costs_the_same_at_one_and_at_many(
        self, plane: ControlPlane, world: World, as_alice: APIClient
    ) -> None:
        QuotaFactory(user=world.alice, max_vms=300)
        vm = running(plane, as_alice)
        few = statements(lambda: as_alice.get(DASHBOARD))
        project = world.tournament
        VM.objects.bulk_create(
            VM(console_id="snes", owner=world.alice, project=project, desired="stopped", phase="stopped", attempt=vm.attempt)
            for _ in range(60)
        )  # fmt: skip
        for number in range(30):
            ProjectFactory(name=f"p{number}", owner=world.alice)
        assert statements(lambda: as_alice.get(DASHBOARD)) == few <= 14
        body = as_alice.get(DASHBOARD).json()
        assert (len(body["vms"]), len(body["projects"])) == (20, 20)
        assert body["vms_by_status"]["stopped"] == 60

    def test_is_for_people(self, world: World, as_service: APIClient, anyone: APIClient) -> None:
        for path in (DASHBOARD, ACTIVITY):
            assert as_service.get(path).status_code == 403
            assert anyone.get(path).status_code == 401


class TestActivity:
    def test_is_of_mine_the_newest_first(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_bob: APIClient, as_sam: APIClient
    ) -> None:
        vm = made(as_alice)
        made(as_bob)
        as_sam.post(f"/users/{world.bob.pk}/suspend", {"reason": "x"})
        as_alice.delete(f"/vms/{vm.pk}")
        listed = as_alice.get(ACTIVITY).json()
        assert [one["action"] for one in listed] == ["delete_asked", "create"]
        assert [one["action"] for one in as_alice.get(ACTIVITY, {"action": "create"}).json()] == ["create"]
        assert as_alice.get(ACTIVITY, {"resource": "users"}).json() == []
        assert [one["id"] for one in as_alice.get(ACTIVITY, {"after": listed[1]["id"]}).json()] == [
            listed[0]["id"]
        ]

    def test_is_not_of_another_of_the_same_user_id(self, plane: ControlPlane, world: World) -> None:
        namesake = UserFactory(handle=world.alice.handle, department=world.palace)
        made(client_of(world.alice))
        assert client_of(namesake).get(ACTIVITY).json() == []

    def test_goes_on_by_cursor_without_loss_while_more_happens(
        self, world: World, as_alice: APIClient
    ) -> None:
        def happen(count: int) -> None:
            Event.objects.bulk_create(
                Event(at=world.arcade.created_at, actor="policy:t", action="a", resource="vms", resource_id="1", owner_id=world.alice.pk)
                for _ in range(count)
            )  # fmt: skip

        happen(7)
        first = as_alice.get(ACTIVITY, {"limit": 3})
        happen(5)
        seen = [one["id"] for one in first.json()]
        link = first.headers.get("Link", "")
        while link:
            page = as_alice.get(link.partition(">")[0].strip("<"))
            seen += [one["id"] for one in page.json()]
            link = page.headers.get("Link", "")
        assert len(seen) == 7
        assert seen == sorted(seen, reverse=True)

    def test_answers_every_odd_query(self, world: World, as_alice: APIClient) -> None:
        right = {"action": "create", "resource": "vms", "after": "0", "limit": "3"}
        assert sweep_query(as_alice, ACTIVITY, right) > 100


class TestSpend:
    def test_is_the_charge_and_the_cost_for_staff(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_sam: APIClient
    ) -> None:
        used(of(world.alice), *an_hour(), cost="2", charge="3")
        mine = as_alice.get(DASHBOARD).json()["this_month"]
        assert mine == {"runtime_hours": 1, "estimated_cost_usd": 3}
        theirs = as_sam.get(f"/users/{world.alice.pk}").json()["this_month"]
        assert theirs == {"runtime_hours": 1, "estimated_cost_usd": 2}

    def test_of_a_person_is_nobody_elses(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_mona: APIClient
    ) -> None:
        used(of(world.alice), *an_hour(), cost="2", charge="3")
        assert as_mona.get(DASHBOARD).json()["this_month"]["estimated_cost_usd"] == 0

    def test_is_a_projects_too(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_mona: APIClient, as_sam: APIClient
    ) -> None:
        run_ahead(plane)
        running(plane, as_alice, project_id=world.tournament.pk)
        running(plane, as_mona)
        used(of(world.alice, project=world.tournament), *an_hour(), cost="2", charge="3")
        used(of(world.mona), *an_hour(), cost="4", charge="5")
        path = f"/projects/{world.tournament.pk}/stats"
        answer = as_mona.get(path).json()
        assert answer["vms_by_status"]["running"] == answer["held"]["vms"] == 1
        spend = {"runtime_hours": 1, "estimated_cost_usd": 3}
        assert (answer["total"], answer["this_month"]) == (spend, spend)
        cost = as_sam.get(path).json()["total"]["estimated_cost_usd"]
        assert 2 <= cost < 2.1, "the machine that boots costs us, too"
        assert as_alice.get(f"/projects/{world.tournament.pk}/stats").status_code == 200

    def test_of_a_project_costs_the_same_at_many(
        self, plane: ControlPlane, world: World, as_mona: APIClient
    ) -> None:
        path = f"/projects/{world.tournament.pk}/stats"
        few = statements(lambda: as_mona.get(path))
        ended = {"desired": "gone", "phase": "deleted", "next_look_at": None}
        VM.objects.bulk_create(VM(console_id="snes", project=world.tournament, **ended) for _ in range(50))
        assert statements(lambda: as_mona.get(path)) == few <= 10


class TestPeople:
    def names(self, client: APIClient, **query: Any) -> list[str]:
        return [one["first_name"] for one in client.get("/users", query).json()]

    def test_are_listed_for_staff_alone(
        self,
        world: World,
        as_sam: APIClient,
        as_admin_key: APIClient,
        as_mona: APIClient,
        as_service: APIClient,
    ) -> None:
        assert self.names(as_sam) == self.names(as_admin_key)
        assert self.names(as_sam) == ["Oscar", "Mona", "Charlie", "Bob", "Alice", "Sam"]
        for client in (as_mona, as_service):
            assert client.get("/users").status_code == 403
            assert client.get(f"/users/{world.alice.pk}").status_code == 403
            for verb in ("suspend", "reinstate"):
                assert client.post(f"/users/{world.alice.pk}/{verb}", {"reason": "x"}).status_code == 403
        assert User.objects.get(pk=world.alice.pk).is_active

    def test_are_found_by_every_filter(self, world: World, as_sam: APIClient) -> None:
        User.objects.filter(pk=world.bob.pk).update(is_active=False)
        assert self.names(as_sam, q="AL") == ["Alice"]
        assert self.names(as_sam, role="staff") == ["Sam"]
        assert self.names(as_sam, is_active="false") == ["Bob"]
        assert self.names(as_sam, department_id=world.palace.pk) == ["Oscar"]
        assert self.names(as_sam, department_role="owner") == ["Oscar", "Mona"]
        right = {
            "q": "a",
            "role": "staff",
            "is_active": "true",
            "department_id": "1",
            "department_role": "owner",
        }
        assert sweep_query(as_sam, "/users", right) > 100

    def test_are_shown_with_what_they_hold(
        self, plane: ControlPlane, world: World, as_sam: APIClient, as_alice: APIClient
    ) -> None:
        made(as_alice)
        body = as_sam.get(f"/users/{world.alice.pk}").json()
        assert (body["person"]["id"], body["held"]["vms"], body["suspended"]) == (world.alice.pk, 1, None)
        assert as_sam.get("/users/999999999").status_code == 404

    def test_cost_the_same_for_many(self, world: World, as_sam: APIClient) -> None:
        few = statements(lambda: as_sam.get("/users"))
        for _ in range(30):
            UserFactory(department=world.arcade)
        assert statements(lambda: as_sam.get("/users")) == few

    def test_are_suspended_for_a_reason(self, world: World, as_sam: APIClient) -> None:
        path = f"/users/{world.bob.pk}/suspend"
        assert sweep_bodies(as_sam, path, {"reason": "spam"}) > 15
        assert User.objects.get(pk=world.bob.pk).is_active
        assert sweep_bodies(as_sam, f"/users/{world.bob.pk}/reinstate", {}) > 5
