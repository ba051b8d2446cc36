"""`/users/me` and the staff's `/users`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import User
from events.models import Event
from tests.bad_inputs import sweep_bodies, sweep_query
from tests.factories import ProjectFactory, QuotaFactory, UserFactory
from tests.vms.api.asking import made, running
from tests.vms.control_plane import ControlPlane
from tests.world import World, client_of
from vms.models import VM, Attempt
from vms.queries import spent

DASHBOARD, ACTIVITY = "/users/me/dashboard", "/users/me/activity"


def an_hour_old() -> None:
    """The plane's clock is ahead of the views': what it bought has cost nothing yet by theirs."""
    Attempt.objects.update(
        sent_at=F("sent_at") - timedelta(hours=1), answered_at=F("answered_at") - timedelta(hours=1)
    )


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
        vm = running(plane, as_alice, project_id=own.pk)
        made(as_bob)
        an_hour_old()
        body = as_alice.get(DASHBOARD).json()
        assert (body["user"]["user_id"], body["user"]["department_role"]) == ("alice@gamer.test", "member")
        assert {name: count for name, count in body["vms_by_status"].items() if count} == {"running": 1}
        assert [one["vm_id"] for one in body["vms"]] == [str(vm.pk)]
        assert body["held"]["vms"] == body["held"]["gpu_vms"] == 1
        assert body["this_month"]["estimated_cost_usd"] > 0
        assert body["credit_usd"] is None
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
        assert statements(lambda: as_alice.get(DASHBOARD)) == few <= 10
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
    def test_is_the_sum_of_what_each_machine_cost(
        self, plane: ControlPlane, world: World, as_alice: APIClient
    ) -> None:
        vm = running(plane, as_alice)
        Attempt.objects.update(usd_per_hour=Decimal("0.5"))
        attempt = Attempt.objects.get()
        now = attempt.answered_at + timedelta(hours=4)
        mine = VM.objects.filter(pk=vm.pk)
        assert (spent(mine, now=now).hours, spent(mine, now=now).usd) == (4, 2)
        later = spent(mine, since=now - timedelta(hours=1), now=now)
        assert (later.hours, later.usd) == (1, Decimal("0.5"))
        Attempt.objects.update(gone_at=now - timedelta(hours=2))
        assert spent(mine, now=now).hours == 2
        assert spent(mine, since=now - timedelta(hours=1), now=now).usd == 0
        Attempt.objects.update(machine_id="")
        assert spent(mine, now=now).usd == 0

    def test_is_a_projects_too(
        self, plane: ControlPlane, world: World, as_alice: APIClient, as_mona: APIClient
    ) -> None:
        vm = running(plane, as_alice, project_id=world.tournament.pk)
        running(plane, as_mona)
        an_hour_old()
        answer = as_mona.get(f"/projects/{world.tournament.pk}/stats").json()
        assert answer["vms_by_status"]["running"] == answer["held"]["vms"] == 1
        mine, both = (
            float(spent(rows, now=plane.now()).usd)
            for rows in (VM.objects.filter(pk=vm.pk), VM.objects.all())
        )
        assert 0 < answer["total"]["estimated_cost_usd"] <= mine < both
        assert as_alice.get(f"/projects/{world.tournament.pk}/stats").status_code == 200

    def test_of_a_project_costs_the_same_at_many(
        self, plane: ControlPlane, world: World, as_mona: APIClient
    ) -> None:
        path = f"/projects/{world.tournament.pk}/stats"
        few = statements(lambda: as_mona.get(path))
        ended = {"desired": "gone", "phase": "deleted", "next_look_at": None}
        VM.objects.bulk_create(VM(console_id="snes", project=world.tournament, **ended) for _ in range(50))
        assert statements(lambda: as_mona.get(path)) == few <= 6


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
