from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from rest_framework.test import APIClient

from gamer.queue import schedules
from gamer.web import health, views
from tests.bad_inputs import assert_error

pytestmark = pytest.mark.django_db


def no_answer(now: datetime) -> Any:
    """A check whose database is away."""
    raise OperationalError("gone")


def two_providers(now: datetime) -> Any:
    yield health.Part("sandbox", figures={"machines": 2})
    yield health.Part("tensordock", "refuses our token")


class TestIdentity:
    def test_says_who_answers_with_and_without_slash(self, anyone: APIClient) -> None:
        assert anyone.get("/").json() == {"message": "Gamer Provisioner API", "version": "1.0.0"}

    def test_asks_nobody_and_no_database(self, anyone: APIClient, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert anyone.get("/", headers={"X-API-Key": "nonsense"}).status_code == 200


class TestHealth:
    @pytest.mark.parametrize("path", ["/health", "/health/", "/health?full=0"])
    def test_is_liveness_without_a_database(
        self, anyone: APIClient, path: str, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            response = anyone.get(path)
        assert response.json() == {"status": "healthy", "service": "provisioner-api"}

    def test_looks_at_every_part_for_staff_and_keys(
        self, as_sam: APIClient, as_reader: APIClient, settings: Any
    ) -> None:
        settings.HEALTH_CHECKS = [
            "gamer.web.health.database",
            "gamer.web.health.queue",
            "gamer.web.health.scheduler",
        ]
        for client in (as_sam, as_reader):
            response = client.get("/health?full=1")
            assert response.status_code == 200
            assert list(response.json()["parts"]) == ["database", "queue", "scheduler"]

    def test_shows_the_parts_to_nobody_else(self, anyone: APIClient, as_alice: APIClient) -> None:
        for client, status in ((anyone, 401), (as_alice, 403)):
            response = client.get("/health", {"full": "1"})
            assert response.status_code == status
            assert_error(response)

    def test_names_what_is_not_well(self, as_sam: APIClient, settings: Any) -> None:
        settings.HEALTH_CHECKS = ["gamer.web.health.database", "tests.gamer.web.test_views.two_providers"]
        response = as_sam.get("/health?full=1")
        assert response.status_code == 503
        assert assert_error(response) == {"tensordock": ["refuses our token"]}
        assert response.json()["status"] == "unhealthy"
        assert response.json()["parts"]["sandbox"]["figures"] == {"machines": 2}

    def test_names_the_check_whose_database_is_away(self, as_sam: APIClient, settings: Any) -> None:
        settings.HEALTH_CHECKS = ["tests.gamer.web.test_views.no_answer"]
        response = as_sam.get("/health?full=1")
        assert response.status_code == 503
        assert set(assert_error(response)) == {"no_answer"}


class TestQueuePart:
    """By the database's clock, as tasks are claimed: a clock of ours that is days off makes nobody ill."""

    def part(self) -> health.Part:
        (part,) = health.queue(timezone.now() + timedelta(days=2))
        return part

    def test_is_the_age_of_the_oldest_due_task(self) -> None:
        now = timezone.now()
        for age_s in (-100_000, 20, 3600):
            OrmQ.objects.create(key="gamer", payload="", lock=now - timedelta(seconds=age_s))
        part = self.part()
        age_s = part.figures["oldest_due_s"]
        assert age_s == pytest.approx(3630, abs=30)
        assert part.problem == f"the oldest task has waited for {age_s} s"

    def test_is_well_while_tasks_are_young_or_none(self) -> None:
        assert not self.part().problem
        OrmQ.objects.create(key="gamer", payload="", lock=timezone.now())
        assert not self.part().problem


class TestSchedulerPart:
    def test_is_ill_when_a_schedule_is_late(self) -> None:
        now = timezone.now()
        Schedule.objects.create(func="x", repeats=0, next_run=now - timedelta(days=1))
        (part,) = health.scheduler(now)
        assert not part.problem
        Schedule.objects.create(func="x", next_run=now - timedelta(minutes=4))
        (part,) = health.scheduler(now)
        assert part.problem == "a schedule is 240 s late"


class TestTasksPart:
    def test_is_ill_while_a_schedule_cannot_run_and_tells_what_failed_lately(self) -> None:
        now = timezone.now()
        (part,) = health.tasks(now)
        assert (part.problem, part.figures) == ("", {"failed_last_hour": 0, "switched_off": 0})
        Schedule.objects.bulk_create([Schedule(name="broken", func="x", args="1, (", next_run=now)])
        schedules.run_due(now + timedelta(seconds=1))
        (part,) = health.tasks(now + timedelta(minutes=59))
        assert part.problem == "switched off, because it cannot run: broken"
        assert part.figures == {"failed_last_hour": 1, "switched_off": 1}
        (part,) = health.tasks(now + timedelta(minutes=61))
        assert part.figures == {"failed_last_hour": 0, "switched_off": 1}


class TestDescription:
    def test_is_open_api_for_everybody(self, anyone: APIClient) -> None:
        for path in ("/schema", "/schema/"):
            response = anyone.get(path)
            assert response.headers["Content-Type"] == "application/json"
            assert response.json()["openapi"].startswith("3.")

    def test_is_made_once(self, anyone: APIClient) -> None:
        views.description.cache_clear()
        for _ in range(3):
            response = anyone.get("/schema")
            assert response.status_code == 200
            assert response.headers["Content-Disposition"].startswith('inline; filename="')
        assert views.description.cache_info().misses == 1

    def test_is_yaml_for_who_asks(self, anyone: APIClient) -> None:
        response = anyone.get("/schema", headers={"Accept": "application/vnd.oai.openapi"})
        assert response.content.startswith(b"openapi: 3")

    def test_has_pages_that_load_nothing_from_elsewhere(self, anyone: APIClient) -> None:
        page = anyone.get("/docs").content.decode()
        assert "swagger" in page
        assert "http://" not in page.replace("http://testserver", "")
        assert "https://" not in page


class TestAccept:
    @pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*", ""])
    def test_is_answered_in_json_whatever_it_says(self, anyone: APIClient, accept: str) -> None:
        response = anyone.get("/health", headers={"Accept": accept})
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")

    def test_is_not_overruled_by_a_parameter(self, anyone: APIClient) -> None:
        assert anyone.get("/health?format=xml").status_code == 200


class TestAdminPath:
    def test_leads_to_the_admin_without_its_slash(self, anyone: APIClient) -> None:
        assert anyone.get("/admin").headers["Location"] == "/admin/"
