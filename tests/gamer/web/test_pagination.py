from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pgtrigger
import pytest
from django.db import connection
from rest_framework.test import APIClient

from events.models import Event
from gamer.web import pagination
from tests.bad_inputs import assert_error, sweep_query
from tests.world import NOON

pytestmark = pytest.mark.django_db
PATH = "/test/events"


def make(*owners: int | None) -> list[int]:
    """Events whose `at` comes in pairs, so that it orders them only half."""
    rows = [
        Event(
            at=NOON + timedelta(seconds=number // 2),
            actor="policy:test",
            action="create",
            resource="vms",
            resource_id=str(number),
            owner_id=owner,
        )
        for number, owner in enumerate(owners)
    ]
    return [row.pk for row in Event.objects.bulk_create(rows)]


def following(response: Any) -> str | None:
    match = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("Link", ""))
    return match[1] if match else None


def walk(client: APIClient, url: str) -> list[int]:
    """The ids along the Link headers."""
    found: list[int] = []
    next_url: str | None = url
    while next_url:
        response = client.get(next_url)
        assert response.status_code == 200, response.json()
        found += [row["id"] for row in response.json()]
        next_url = following(response)
    return found


class TestPage:
    def test_is_a_bare_array_of_fifty_with_the_total_beside(self, anyone: APIClient) -> None:
        ids = make(*[None] * 60)
        response = anyone.get(PATH)
        assert [row["id"] for row in response.json()] == ids[:50]
        assert response.headers["X-Total-Count"] == "60"

    def test_skips(self, anyone: APIClient) -> None:
        ids = make(*[None] * 5)
        assert [row["id"] for row in anyone.get(PATH, {"limit": 2, "skip": 3}).json()] == ids[3:]

    def test_has_no_link_at_the_end(self, anyone: APIClient) -> None:
        make(None, None)
        assert following(anyone.get(PATH, {"limit": 2})) is None

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *[("limit", bad) for bad in ("0", "201", "x", "", "٣", "1.0")],
            ("skip", "-1"),
            ("skip", "10001"),
            ("skip", "9" * 5000),
            ("cursor", "x"),
            ("cursor", "a:b"),
            ("cursor", ""),
        ],
    )
    def test_refuses_a_bad_value_by_name(self, anyone: APIClient, name: str, value: str) -> None:
        response = anyone.get(PATH, {name: value})
        assert response.status_code == 400
        assert set(assert_error(response)) == {name}

    def test_answers_every_odd_value(self, anyone: APIClient) -> None:
        make(None)
        assert sweep_query(anyone, PATH, {"limit": "1", "skip": "0"}) > 100

    def test_costs_two_queries(self, anyone: APIClient, django_assert_num_queries: Any) -> None:
        make(*[None] * 100)
        with django_assert_num_queries(2):
            anyone.get(PATH, {"limit": 100})

    @pytest.mark.parametrize(("whole", "plans"), [({"changes": "true"}, 1), ({}, 0)])
    def test_is_planned_once_when_nothing_narrows_it(
        self, anyone: APIClient, whole: dict[str, str], plans: int
    ) -> None:
        ids = make(*[None] * 5)
        for _ in range(10):
            page = anyone.get(PATH, {"limit": 3, **whole})
            assert [row["id"] for row in page.json()] == ids[:3]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%events_event%LIMIT 4%'"
            )
            assert cursor.fetchone() == (plans,)


class TestCursor:
    @pytest.mark.parametrize(
        "order", ["", "at", "-at", "owner_id", "-owner_id", "-owner_id,at", "owner_id,-at", "pk", "-pk"]
    )
    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_visits_every_row_once_in_order(self, anyone: APIClient, order: str, limit: int) -> None:
        make(2, None, 1, 2, None, 3, 1, 1, None)
        names = order.split(",") if order else ["id"]
        tie = "-id" if names[0].startswith("-") else "id"
        wanted = list(Event.objects.order_by(*names, tie).values_list("id", flat=True))
        assert walk(anyone, f"{PATH}?limit={limit}&order={order}") == wanted

    def test_is_not_disturbed_by_rows_that_come_and_go(self, anyone: APIClient) -> None:
        ids = make(*[None] * 6)
        first = anyone.get(PATH, {"limit": 3, "order": "-id"})
        with pgtrigger.ignore("events.Event:never_deleted"):  # as a table whose rows go would
            Event.objects.filter(id=ids[5]).delete()
        make(None, None)
        second = anyone.get(following(first))
        assert [row["id"] for row in second.json()] == ids[2::-1]

    def test_goes_on_from_a_skip(self, anyone: APIClient) -> None:
        ids = make(*[None] * 6)
        assert walk(anyone, f"{PATH}?limit=2&skip=1") == ids[1:]

    def test_is_refused_with_another_ordering(self, anyone: APIClient) -> None:
        make(*[None] * 3)
        url = following(anyone.get(PATH, {"limit": 1, "order": "at"}))
        assert url is not None
        response = anyone.get(url.replace("order=at", "order=-at"))
        assert set(assert_error(response)) == {"cursor"}

    def test_is_refused_with_a_skip(self, anyone: APIClient) -> None:
        make(*[None] * 3)
        url = following(anyone.get(PATH, {"limit": 1}))
        assert set(assert_error(anyone.get(f"{url}&skip=1"))) == {"skip"}

    def test_is_refused_when_somebody_changed_it(self, anyone: APIClient) -> None:
        make(*[None] * 3)
        url = following(anyone.get(PATH, {"limit": 1}))
        assert url is not None
        assert set(assert_error(anyone.get(url.replace("cursor=", "cursor=x")))) == {"cursor"}


class TestCount:
    def test_is_exact_until_it_would_cost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make(*[None] * 10)
        # What Postgres believes of the table may stem from another test.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE events_event")
        monkeypatch.setattr(pagination, "COUNTED", 10)
        assert pagination.count(Event.objects.all()) == 10

    def test_is_an_estimate_past_that_which_is_kept_for_a_while(
        self, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
    ) -> None:
        make(*[None] * 500)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE events_event")
        monkeypatch.setattr(pagination, "COUNTED", 10)
        monkeypatch.setattr(pagination, "ESTIMATES", kept := {})
        for queries in (1, 0):
            with django_assert_num_queries(queries):
                assert pagination.count(Event._base_manager.all()) == 500
        kept["events_event"] = (0.0, 500)
        make(*[None] * 100)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE events_event")
        assert pagination.count(Event._base_manager.all()) == 600

    def test_is_never_less_than_what_was_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make(*[None] * 500)
        monkeypatch.setattr(pagination, "COUNTED", 100)
        assert pagination.count(Event.objects.filter(resource_id__contains="1")) >= 101


class TestBoundedPaginator:
    def test_turns_no_page_past_what_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make(*[None] * 30)
        monkeypatch.setattr(pagination, "COUNTED", 20)
        pages = pagination.BoundedPaginator(Event.objects.all(), 10)
        assert (pages.count, pages.num_pages) == (20, 2)
