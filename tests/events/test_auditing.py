from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django_q.models import Schedule

from accounts.models import User
from emulators.services import seed
from events.auditing import Audited, audit
from events.models import Event
from gamer.web.admin import ALL_WRITES
from tests.world import NOON, World

pytestmark = pytest.mark.django_db


def told(resource: str, resource_id: object) -> list[Event]:
    return list(Event.objects.about(resource, resource_id))


class TestAPage:
    def test_leaves_an_event_of_what_was_made_changed_and_deleted(self, sam: Client, world: World) -> None:
        sam.post("/admin/auth/group/add/", {"name": "Night shift"})
        row = Group.objects.get(name="Night shift")
        sam.post(f"/admin/auth/group/{row.pk}/change/", {"name": "Day shift"})
        sam.post(f"/admin/auth/group/{row.pk}/delete/", {"post": "yes"})
        made, changed, gone = told("groups", row.pk)
        assert [one.action for one in (made, changed, gone)] == ["create", "update", "delete"]
        assert {one.actor for one in (made, changed, gone)} == {f"user:{world.sam.handle}"}
        assert changed.details == {"kind": "group", "name": "Day shift", "fields": ["Name"]}
        assert gone.ip == "127.0.0.1"

    def test_leaves_one_for_each_row_deleted_from_the_list(self, sam: Client) -> None:
        rows = [Group.objects.create(name=f"g{n}") for n in range(3)]
        chosen = [str(row.pk) for row in rows[:2]]
        answer = sam.post(
            "/admin/auth/group/",
            {"action": "delete_selected", "_selected_action": chosen, "post": "yes"},
        )
        assert answer.status_code == 302
        assert [len(told("groups", row.pk)) for row in rows] == [1, 1, 0]

    def test_leaves_nothing_of_what_was_refused(self, sam: Client) -> None:
        Group.objects.create(name="Night shift")
        sam.post("/admin/auth/group/add/", {"name": "Night shift"})
        assert not Event.objects.filter(action="create", resource="groups").exists()

    def test_of_a_library_is_audited_too(self, sam: Client) -> None:
        row = Schedule.objects.create(name="nightly", func="events.tasks.erase_ips", next_run=NOON)
        sam.post(f"/admin/django_q/schedule/{row.pk}/delete/", {"post": "yes"})
        (event,) = told("schedules", f"schedule:{row.pk}")
        assert (event.action, event.actor[:5]) == ("delete", "user:")

    def test_tells_of_an_action_and_its_rows_once_it_is_confirmed(self, sam: Client, world: World) -> None:
        posted = {"action": "end_logins", "_selected_action": [str(world.alice.pk)]}
        sam.post("/admin/accounts/user/", posted)
        assert not Event.objects.filter(action="action_run").exists()
        sam.post("/admin/accounts/user/", {**posted, "confirmed": "yes"})
        (event,) = Event.objects.about("users", world.alice.handle).filter(action="action_run")
        assert event.details["ran"] == "end_logins"

    @pytest.mark.parametrize("beside", ["end_logins", "delete_selected"])
    def test_tells_of_an_action_that_is_posted_beside_one_that_is_not_told(
        self, sam: Client, world: World, beside: str
    ) -> None:
        posted = {"action": ["forgive_failures", beside], "index": "0", "_selected_action": world.alice.pk}
        answer = sam.post("/admin/accounts/user/", posted, follow=True)
        assert "1 people may try again." in map(str, answer.context["messages"])
        (event,) = Event.objects.about("users", world.alice.handle).filter(action="action_run")
        assert event.details["ran"] == f"forgive_failures, {beside}"

    def test_tells_of_rows_that_are_gone_when_an_action_is_confirmed(self, sam: Client) -> None:
        kept = Group.objects.create(name="kept")
        posted = {"action": "delete_selected", "_selected_action": [str(kept.pk), "987654"], "post": "yes"}
        answer = sam.post("/admin/auth/group/", posted, follow=True)
        assert "1 of the chosen is no longer there." in map(str, answer.context["messages"])
        assert not Group.objects.exists()

    def test_tells_of_an_action_on_who_left_the_lists_filter_meanwhile(
        self, sam: Client, world: World
    ) -> None:
        posted = {"action": "end_logins", "confirmed": "yes", "_selected_action": [str(world.alice.pk)]}
        sam.post("/admin/accounts/user/?is_active__exact=0", posted)
        (event,) = Event.objects.about("users", world.alice.handle).filter(action="action_run")
        assert event.details["ran"] == "end_logins"

    def test_tells_how_many_an_action_on_all_pages_had(self, sam: Client, world: World) -> None:
        everybody = {"_selected_action": [str(world.alice.pk)], "select_across": "1"}
        sam.post("/admin/accounts/user/", {"action": "end_logins", "confirmed": "yes", **everybody})
        told = Event.objects.filter(action="action_run")
        assert {event.details["of"] for event in told} == {User.objects.count()}
        assert told.count() == User.objects.count()

    def test_whose_saves_are_a_services_leaves_one_event_and_not_two(self, sam: Client) -> None:
        seed(NOON)
        before = Event.objects.latest("id").pk
        size = {"slug": "tiny", "vcpus": 1, "ram_gb": 1, "disk_gb": 10, "gpus": 0}
        assert sam.post("/admin/emulators/preset/add/", size).status_code == 302
        (event,) = Event.objects.after(before)
        assert (event.action, event.resource_id) == ("create", "preset:tiny")

    def test_of_a_group_is_told_with_its_permissions_history(self, sam: Client) -> None:
        sam.post("/admin/auth/group/add/", {"name": "Operators"})
        group = Group.objects.get()
        actions = Event.timeline.about("groups", group.pk).values_list("action", flat=True)
        assert set(actions) == {"create", "row_created"}


class TestEveryPage:
    def test_is_audited_or_records_by_itself(self) -> None:
        pages = list(admin.site._registry.values())
        assert len(pages) > 10
        assert [page for page in pages if not isinstance(page, Audited)] == []

    def test_says_only_writes_it_may_leave_to_a_service(self) -> None:
        assert all(getattr(page, "records_itself", ALL_WRITES) <= ALL_WRITES for page in _pages())

    def test_stays_as_it_is_when_it_is_done_twice(self) -> None:
        before = dict(admin.site._registry)
        audit(admin.site)
        assert admin.site._registry == before


def _pages() -> list[Any]:
    return list(admin.site._registry.values())
