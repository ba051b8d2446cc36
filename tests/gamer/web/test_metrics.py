from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from gamer import tallies
from gamer.env import ROOT
from gamer.queue import schedules
from gamer.web.models import Tally
from tests.bad_inputs import assert_error
from tests.factories import ApiKeyFactory
from tests.world import World, client_with_key

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    tallies._counts.clear()


def scraped(client: APIClient, **extra: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = client.get("/metrics", **extra)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(found: Any, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


class TestWhoMayScrape:
    def test_are_staff_and_their_keys(
        self, as_sam: APIClient, as_admin_key: APIClient, as_reader: APIClient
    ) -> None:
        for client in (as_sam, as_admin_key, as_reader):
            assert client.get("/metrics").status_code == 200

    def test_is_nobody_else(self, anyone: APIClient, as_alice: APIClient) -> None:
        for client, status in ((anyone, 401), (as_alice, 403)):
            answer = client.get("/metrics")
            assert answer.status_code == status
            assert_error(answer)

    def test_is_no_key_of_a_player(self, world: World) -> None:
        key = ApiKeyFactory(maker=world.alice, scopes=["read"])
        assert client_with_key(key.secret).get("/metrics").status_code == 403

    def test_is_an_allowed_network_and_no_other(self, anyone: APIClient, settings: Any) -> None:
        settings.METRICS_ALLOWED_NETWORKS = ["10.1.0.0/16", "fd00::/8"]
        for address, status in (("10.1.2.3", 200), ("fd00::7", 200), ("10.2.0.1", 401), ("nowhere", 401)):
            assert anyone.get("/metrics", REMOTE_ADDR=address).status_code == status


class TestHttp:
    def test_is_counted_by_the_names_of_routes_and_not_by_addresses(
        self, as_sam: APIClient, anyone: APIClient
    ) -> None:
        for number in range(5):
            anyone.get(f"/vms/{number}a0a0a0a-0000-4000-8000-000000000000/status")
            anyone.get(f"/nowhere/{number}")
        found = scraped(as_sam)
        views = {dict(labels).get("view") for _, labels in found} - {None}
        assert "vm-status" in views
        assert not any("nowhere" in view or "0000" in view for view in views)

    def test_methods_are_few_too(self, as_sam: APIClient, anyone: APIClient) -> None:
        anyone.generic("BREW", "/health")
        methods = {dict(labels).get("method") for _, labels in scraped(as_sam)} - {None}
        assert "BREW" not in methods


class TestRows:
    def test_are_read_at_each_scrape(self, as_sam: APIClient) -> None:
        OrmQ.objects.create(key="gamer", payload="x", lock=timezone.now() - timedelta(seconds=90))
        OrmQ.objects.create(key="gamer", payload="x", lock=timezone.now() + timedelta(seconds=90))
        found = scraped(as_sam)
        assert value(found, "gamer_queue_tasks", state="due") == 1
        assert value(found, "gamer_queue_tasks", state="claimed_or_later") == 1
        assert 90 <= value(found, "gamer_queue_oldest_due_seconds") < 150
        assert value(found, "gamer_database_up") == 1

    def test_count_what_failed_and_what_cannot_run(self, as_sam: APIClient) -> None:
        now = timezone.now()
        Schedule.objects.bulk_create([Schedule(name="broken", func="x", args="1, (", next_run=now)])
        schedules.run_due(now + timedelta(seconds=1))
        found = scraped(as_sam)
        assert value(found, "gamer_failed_tasks") == value(found, "gamer_schedules_switched_off") == 1

    def test_cost_a_bounded_number_of_queries(self, anyone: APIClient, settings: Any) -> None:
        settings.METRICS_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        with CaptureQueriesContext(connection) as asked:
            anyone.get("/metrics")
        assert len(asked) <= 16

    def test_that_cannot_be_read_leave_the_webs_counters(self, anyone: APIClient, settings: Any) -> None:
        settings.METRICS_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        settings.METRICS = ["tests.gamer.web.test_metrics.away"]
        found = scraped(anyone)
        assert value(found, "gamer_database_up") == 0
        assert any(name.startswith("django_http") for name, _ in found)


def away(_now: Any) -> Any:
    raise OperationalError("gone")


class TestTallies:
    def test_are_added_up_over_processes(self, as_sam: APIClient) -> None:
        for _ in range(2):  # as two processes would
            tallies.add("provider_calls", kind="tensordock", verb="list", error="none")
            tallies.add("provider_calls", kind="tensordock", verb="list", error="none")
            tallies.add("provider_call_seconds", 0.25, verb="list", kind="tensordock")
            assert tallies.flush() == 2
        found = scraped(as_sam)
        who = {"kind": "tensordock", "verb": "list"}
        assert value(found, "gamer_provider_calls_total", **who, error="none") == 4
        assert value(found, "gamer_provider_call_seconds_total", **who) == 0.5

    def test_cost_no_query_until_they_are_flushed(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            tallies.add("provider_calls", kind="a", verb="b", error="c")
        with django_assert_num_queries(1):
            tallies.flush()
        with django_assert_num_queries(0):
            assert tallies.flush() == 0

    def test_wait_a_little(self) -> None:
        tallies.add("provider_calls", kind="a", verb="b", error="c")
        assert tallies.flush() == 1
        tallies.add("provider_calls", kind="a", verb="b", error="c")
        assert tallies.flush(within_s=3600) == 0
        assert tallies.flush() == 1
        assert Tally.objects.get().value == 2


class TestSeveralWorkers:
    def test_are_joined_from_their_directory(self, tmp_path: Any) -> None:
        """Two processes count, a third one answers for them."""
        count = "from prometheus_client import Counter; Counter('django_http_x', 'x').inc()"
        answer = (
            "import django; django.setup(); from gamer.web import metrics; from django.conf import settings; "
            "settings.METRICS = []; print(metrics.exposition().decode())"
        )
        environment = {
            **os.environ,
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "gamer.settings",
        }
        for program in (count, count):
            subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, check=True, timeout=60)
        told = subprocess.run(
            [sys.executable, "-c", answer], env=environment, cwd=ROOT, check=True, timeout=60, capture_output=True, text=True,
        )  # fmt: skip
        assert "django_http_x_total 2.0" in told.stdout
