from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, Client

from accounts.models import Department
from emulators.services import seed
from events import timeline
from events.models import Event
from events.services import Happening, record
from events.timeline import words_of
from gamer.context import about
from tests.world import NOON, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> Event:
    record(
        Happening(NOON, "user:alice", "create", "vms", "vm-1", {"game": "zelda"}),
        Happening(NOON, "policy:idle", "delete", "vms", "vm-2"),
    )
    return Event.objects.earliest("id")


class TestEvents:
    def test_are_listed_newest_first_and_found_by_prefix(self, sam: Client, event: Event) -> None:
        page = sam.get("/admin/events/event/").content.decode()
        assert page.index("vm-2") < page.index("vm-1")
        found = sam.get("/admin/events/event/", {"q": "user:al"}).content.decode()
        assert "zelda" in found
        assert "policy:idle" not in found

    def test_are_looked_at_and_never_edited(self, sam: Client, event: Event) -> None:
        path = f"/admin/events/event/{event.pk}"
        assert "zelda" in sam.get(f"{path}/change/").content.decode()
        for request in ("change/", "delete/", "../add/"):
            assert (
                sam.post(f"{path}/{request}".replace(f"/{event.pk}/..", ""), {"post": "yes"}).status_code
                == 403
            )
        assert Event.objects.count() == 2

    def test_are_counted_up_to_a_bound(
        self, sam: Client, event: Event, django_assert_max_num_queries: Any
    ) -> None:
        with django_assert_max_num_queries(7) as queries:
            sam.get("/admin/events/event/")
        counts = [query["sql"] for query in queries.captured_queries if "COUNT" in query["sql"]]
        assert counts
        assert all("LIMIT 10000" in sql for sql in counts)


class TestNarrowing:
    @pytest.fixture(autouse=True)
    def _some(self, world: World) -> None:
        with about(ip="203.0.113.4", request_id="r-1"):
            record(
                Happening(NOON, "user:alice", "create", "vms", "vm-1", owner_id=11, department_id=7),
                Happening(NOON + timedelta(hours=1), "key:abcd", "update", "projects", "p-1", project_id=5),
            )
        record(Happening(NOON + timedelta(days=1), "policy:idle", "delete", "vms", "vm-2", {"a": [1, 2]}))

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"actor": "user:al"}, {"vm-1"}),
            ({"actor": "key:"}, {"p-1"}),
            ({"subject": "vm-"}, {"vm-1", "vm-2"}),
            ({"action": "update"}, {"p-1"}),
            ({"resource": "vms"}, {"vm-1", "vm-2"}),
            ({"owner": "11"}, {"vm-1"}),
            ({"department": "7"}, {"vm-1"}),
            ({"project": "5"}, {"p-1"}),
            ({"ip": "203.0.113.4"}, {"vm-1", "p-1"}),
            ({"request": "r-1"}, {"vm-1", "p-1"}),
            ({"since": "2026-06-16", "told": "service"}, {"vm-2"}),
            ({"since": "2026-06-15 12:30", "until": "2026-06-15"}, {"p-1"}),
            ({"until": "2026-06-15 12:30"}, {"vm-1"}),
            ({"told": "service", "resource": "vms", "actor": "policy:"}, {"vm-2"}),
            *[({name: "nonsense \x7f"}, set()) for name in ("ip", "owner", "department", "project", "since", "until")],
            ({"since": "2026-02-31"}, set()),
            ({"owner": "9" * 40}, set()),
            ({"owner": "²"}, set()),
        ],
    )  # fmt: skip
    def test_finds_by_what_is_known(self, sam: Client, asked: dict[str, str], found: set[str]) -> None:
        answer = sam.get("/admin/events/event/", asked)
        assert answer.status_code == 200
        assert {row.resource_id for row in answer.context["cl"].result_list} == found

    def test_is_found_by_an_index(self, sam: Client) -> None:
        record(*[Happening(NOON, f"user:u{n}", "update", "vms", f"x-{n}") for n in range(3000)])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE events_event")
        for asked, index in (
            ({"actor__startswith": "user:u77"}, "event_actor"),
            ({"ip": "203.0.113.4"}, "event_ip"),
            ({"action": "delete"}, "event_action"),
            ({"request_id": "r-1"}, "event_request"),
        ):
            assert index in Event.timeline.filter(**asked).order_by("-id")[:50].explain()


class TestChanges:
    def test_read_with_arrows(self, sam: Client, world: World) -> None:
        Department.objects.filter(pk=world.arcade.pk).update(name="Hall")
        asked = {"resource": "departments", "subject": str(world.arcade.pk)}
        assert "Arcade → Hall" in sam.get("/admin/events/event/", asked).content.decode()
        change = Event.timeline.filter(action="row_changed", resource="departments").get()
        page = sam.get(f"/admin/events/event/{change.pk}/change/").content.decode()
        assert "<td>name</td><td>Arcade</td><td>Hall</td>" in page

    def test_show_no_markup_of_a_name(self, sam: Client, world: World) -> None:
        Department.objects.filter(pk=world.arcade.pk).update(name="<script>x</script>")
        change = Event.timeline.filter(action="row_changed", resource="departments").get()
        for path in ("/admin/events/event/", f"/admin/events/event/{change.pk}/change/"):
            assert "<script>x</script>" not in sam.get(path).content.decode()

    def test_of_a_secret_show_dots(self) -> None:
        event = Event(
            is_change=True, details={"row": "account", "changes": {"credentials": "replaced", "token": "set"}}
        )
        assert words_of(event) == "account. credentials: •••• → ••••, token:  → ••••"

    def test_are_a_click_away_from_the_row(self, sam: Client, world: World) -> None:
        page = f"/admin/accounts/department/{world.arcade.pk}"
        assert f"{page}/history/" in sam.get(f"{page}/change/").content.decode()
        answer = sam.get(f"{page}/history/", follow=True)
        assert [row.action for row in answer.context["cl"].result_list] == ["row_created"]

    def test_of_a_console_stand_with_what_services_told(self, sam: Client) -> None:
        seed(NOON)
        answer = sam.get("/admin/emulators/emulatorconfig/nes/history/", follow=True)
        rows = list(answer.context["cl"].result_list)
        assert {"create", "row_created"} <= {row.action for row in rows}
        assert {row.resource_id for row in rows} == {"nes"}


class TestExport:
    def read(self, answer: Any) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    def test_streams_what_the_list_found_and_is_told(self, sam: Client, event: Event, world: World) -> None:
        answer = sam.post("/admin/events/event/export/?actor=user:al")
        assert answer.streaming
        assert answer.headers["Content-Type"].startswith("text/csv")
        (row,) = self.read(answer)
        assert (row["actor"], row["at"], json.loads(row["details"])) == (
            "user:alice", "2026-06-15T12:00:00Z", {"game": "zelda"},
        )  # fmt: skip
        told = Event.objects.get(action="export")
        assert (told.actor, told.details) == (f"user:{world.sam.handle}", {"filters": {"actor": "user:al"}})

    def test_is_not_read_to_its_end_before_the_first_byte_under_asgi(self, world: World) -> None:
        client = AsyncClient()
        client.force_login(world.sam)
        assert async_to_sync(client.post)("/admin/events/event/export/").is_async

    def test_goes_on_past_a_page(self, sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(timeline, "PAGE", 2)
        record(*[Happening(NOON, "user:u", "update", "vms", f"x-{n}") for n in range(5)])
        rows = self.read(sam.post("/admin/events/event/export/?subject=x-"))
        assert [row["resource_id"] for row in rows] == ["x-4", "x-3", "x-2", "x-1", "x-0"]

    def test_gives_a_spreadsheet_no_formula(self, sam: Client) -> None:
        record(Happening(NOON, "user:u", "update", "vms", "=cmd()"))
        (row,) = self.read(sam.post("/admin/events/event/export/?subject=%3Dcmd"))
        assert row["resource_id"] == "'=cmd()"

    def test_is_asked_for_by_post_and_by_those_who_may_look(self, sam: Client, world: World) -> None:
        assert sam.get("/admin/events/event/export/").status_code == 405
        world.alice.is_staff = True
        world.alice.save()
        alice = Client()
        alice.force_login(world.alice)
        assert alice.post("/admin/events/event/export/").status_code == 403
        assert not Event.objects.filter(action="export").exists()
