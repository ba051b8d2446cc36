from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from events.models import Event
from events.services import Happening, record
from tests.world import NOON, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def sam(world: World) -> Client:
    client = Client()
    client.force_login(world.sam)
    return client


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
