from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Scope, User
from billing.models import UsageDay
from emulators.services import seed
from tests.bad_inputs import sweep_query
from tests.billing.usage import Where, of, runs, subject_of, used
from tests.factories import ApiKeyFactory, UserFactory
from tests.vms.api.asking import details
from tests.world import World, client_with_key
from vms.lifecycle import Desired, Phase
from vms.models import VM

pytestmark = pytest.mark.django_db


@pytest.fixture
def yesterday() -> datetime:
    """Ten in the morning, in the past whatever the time is now."""
    return timezone.now().replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def usage(world: World, yesterday: datetime) -> datetime:
    """Alice, bob and charlie played for an hour each: 1, 2 and 4 USD, which cost us half; and an hour before READY."""
    hour = timedelta(hours=1)
    for person, usd in ((world.alice, 1), (world.bob, 2), (world.charlie, 4)):
        where = of(person, provider="cloudypad_gcp" if person == world.bob else "tensordock")
        machine = used(where, yesterday, yesterday + hour, cost=str(usd / 2), charge="0")
        used(
            where, yesterday + hour, yesterday + 2 * hour, cost=str(usd / 2), charge=str(usd), subject=machine
        )
    return yesterday


def got(client: APIClient, path: str, **query: Any) -> dict[str, Any]:
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


class TestUsage:
    def test_is_the_providers_hours_and_cost_for_staff_with_the_charge_beside(
        self, usage: datetime, as_sam: APIClient
    ) -> None:
        body = got(as_sam, "/billing/usage/combined", days=3)
        summary = {"total_vms": 3, "total_runtime_hours": 6.0, "total_estimated_cost_usd": 7, "charge_usd": 7}
        assert body["overall_summary"] == summary
        assert body["provider_breakdown"]["cloudypad_gcp"]["summary"] == {
            "total_vms": 1, "total_runtime_hours": 2.0, "total_estimated_cost_usd": 2, "charge_usd": 2,
        }  # fmt: skip
        assert set(body["period"]) == {"start", "end"}

    def test_is_chargeable_hours_and_their_charge_for_everybody_else(
        self, usage: datetime, as_alice: APIClient
    ) -> None:
        body = got(as_alice, "/billing/usage/combined")
        mine = {"total_vms": 1, "total_runtime_hours": 1.0, "total_estimated_cost_usd": 1}
        assert body["overall_summary"] == mine
        assert body["provider_breakdown"] == {"tensordock": {"summary": mine}}

    def test_is_exactly_the_departments_for_its_manager(
        self, usage: datetime, as_mona: APIClient, as_oscar: APIClient
    ) -> None:
        assert got(as_mona, "/billing/usage/combined")["overall_summary"] == {
            "total_vms": 2, "total_runtime_hours": 2.0, "total_estimated_cost_usd": 3,
        }  # fmt: skip
        assert got(as_oscar, "/billing/usage/combined")["overall_summary"]["total_estimated_cost_usd"] == 0

    def test_is_the_providers_for_a_key_that_bills(self, world: World, usage: datetime) -> None:
        key = ApiKeyFactory(maker=world.sam, scopes=[Scope.READ, Scope.BILLING])
        assert (
            got(client_with_key(key.secret), "/billing/usage/combined")["overall_summary"]["charge_usd"] == 7
        )
        ours = ApiKeyFactory(maker=world.sam, scopes=[Scope.READ, Scope.BILLING], department=world.arcade)
        assert (
            got(client_with_key(ours.secret), "/billing/usage/combined")["overall_summary"]["charge_usd"] == 3
        )

    def test_is_the_charge_for_a_departments_key(self, usage: datetime, as_service: APIClient) -> None:
        summary = got(as_service, "/billing/usage/combined")["overall_summary"]
        assert summary == {"total_vms": 2, "total_runtime_hours": 2.0, "total_estimated_cost_usd": 3}

    def test_of_a_custom_period_includes_both_days(self, usage: datetime, as_sam: APIClient) -> None:
        day = f"{usage:%Y-%m-%d}"
        body = got(as_sam, "/billing/usage/custom", start_date=day, end_date=day)
        assert body["overall_summary"]["total_vms"] == 3
        body = got(
            as_sam,
            "/billing/usage/custom",
            start_date=f"{day}T00:00:00Z",
            end_date=f"{day}T23:00:00Z",
            provider="gcp",
        )
        assert list(body["provider_breakdown"]) == ["cloudypad_gcp"]
        body = got(as_sam, "/billing/usage/custom", start_date="2025-01-01", end_date="2025-12-31")
        assert body["overall_summary"]["total_vms"] == 0
        assert body["period"] == {"start": "2025-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({}, "start_date"),
            ({"start_date": "2026-01-01"}, "end_date"),
            ({"start_date": "2026-01-02", "end_date": "2026-01-01"}, "end_date"),
            ({"start_date": "2025-01-01", "end_date": "2026-01-01"}, "start_date"),
            ({"start_date": "yesterday", "end_date": "2026-01-01"}, "start_date"),
            ({"start_date": "2026-02-30", "end_date": "2026-03-01"}, "start_date"),
            ({"start_date": "1026-02-03", "end_date": "2026-03-01"}, "start_date"),
            ({"start_date": "2026-01-01", "end_date": "2026-01-01", "provider": "tensordok"}, "provider"),
        ],
    )
    def test_refuses_a_period_by_the_fields_name(
        self, as_sam: APIClient, query: dict[str, str], field: str
    ) -> None:
        assert field in details(as_sam.get("/billing/usage/custom", query))

    @pytest.mark.parametrize("days", ["0", "366", "-1", "x", "1.5"])
    def test_refuses_days_out_of_range(self, as_sam: APIClient, days: str) -> None:
        assert "days" in details(as_sam.get("/billing/usage/combined", {"days": days}))
        assert "days" in details(as_sam.get("/billing/usage/tensordock", {"days": days}))


class TestUsageOfAProvider:
    def test_names_the_vms_behind_it(
        self, world: World, yesterday: datetime, as_sam: APIClient, as_alice: APIClient
    ) -> None:
        seed(now=yesterday)
        vm = VM.objects.create(
            owner=world.alice, console_id="switch", desired=Desired.GONE, phase=Phase.DELETED, next_look_at=None,
            created_at=yesterday,
        )  # fmt: skip
        machine = used(of(world.alice), yesterday, yesterday + timedelta(minutes=90), cost="1", charge="2")
        type(machine).objects.filter(pk=machine.pk).update(vm=vm.pk)
        runs(of(world.bob), timezone.now() - timedelta(minutes=30), cost="3", charge="4")
        body = got(as_sam, "/billing/usage/tensordock", days=2)
        assert body["provider"] == "tensordock"
        assert body["summary"]["total_vms"] == 2
        running, ended = body["vm_details"]
        assert ended == {
            "vm_id": str(vm.pk), "console_type": "switch", "preset": "premium", "provider": "tensordock", "status": "terminated",
            "created_at": yesterday.isoformat().replace("+00:00", "Z"), "last_activity": None, "runtime_hours": 1.5,
            "estimated_cost_usd": 1.5, "charge_usd": 3,
        }  # fmt: skip
        assert running["status"] is None, "its row is no longer kept"
        assert 1.5 <= running["estimated_cost_usd"] < 1.6
        mine = got(as_alice, "/billing/usage/tensordock", days=2)["vm_details"]
        assert [(one["estimated_cost_usd"], "charge_usd" in one) for one in mine] == [(3, False)]

    def test_sums_a_vms_machines_to_the_whole(
        self, world: World, yesterday: datetime, as_sam: APIClient
    ) -> None:
        first = used(of(world.alice), yesterday, yesterday + timedelta(minutes=7), cost="0.37", charge="0.41")
        where, start = of(world.alice, region="eu"), yesterday + timedelta(hours=1)
        end = yesterday + timedelta(hours=3)
        again = subject_of(where, start, end, Decimal("0.39"), Decimal(1), first.vm)
        used(where, start, end, cost="0.39", subject=again)
        body = got(as_sam, "/billing/usage/tensordock")
        assert len(body["vm_details"]) == body["summary"]["total_vms"] == 1
        assert body["vm_details"][0]["estimated_cost_usd"] == body["summary"]["total_estimated_cost_usd"]

    def test_knows_the_old_names_of_the_clouds(self, usage: datetime, as_sam: APIClient) -> None:
        assert got(as_sam, "/billing/usage/gcp")["summary"]["total_vms"] == 1
        assert got(as_sam, "/billing/usage/cloudypad_gcp")["summary"]["total_vms"] == 1
        assert as_sam.get("/billing/usage/skynet").status_code == 404

    def test_pages_its_vms(self, usage: datetime, as_sam: APIClient) -> None:
        whole = got(as_sam, "/billing/usage/tensordock")["vm_details"]
        halves = [
            got(as_sam, "/billing/usage/tensordock", limit=1, skip=skip)["vm_details"] for skip in (0, 1)
        ]
        assert halves[0] + halves[1] == whole


class TestCosts:
    def test_of_this_month_are_what_its_days_come_to(self, world: World, as_sam: APIClient) -> None:
        runs(of(world.alice), timezone.now() - timedelta(minutes=1), cost="60", charge="66")
        body = got(as_sam, "/billing/costs/current-month")
        assert body["month"] == f"{timezone.now():%Y-%m}"
        assert body["costs"]["total_vms"] == 1
        assert 0.9 < body["costs"]["total_estimated_cost_usd"] < 2
        assert (
            body["provider_breakdown"]["tensordock"]["summary"]["charge_usd"]
            > body["costs"]["total_estimated_cost_usd"]
        )

    def test_are_told_day_by_day_with_zeros_where_nothing_was(
        self, usage: datetime, as_sam: APIClient
    ) -> None:
        body = got(as_sam, "/billing/costs/daily")
        assert body["period_days"] == 7
        assert [one["cost"] for one in body["daily_breakdown"]] == [0, 0, 0, 0, 0, 7, 0]
        assert body["daily_breakdown"][5] == {
            "date": f"{usage:%Y-%m-%d}", "cost": 7, "vms": 3, "hours": 6.0, "charge_usd": 7,
        }  # fmt: skip
        assert (body["total_cost"], body["average_daily_cost"]) == (7, 1)

    def test_of_a_player_are_their_charge(self, usage: datetime, as_alice: APIClient) -> None:
        day = got(as_alice, "/billing/costs/daily", days=2)["daily_breakdown"][0]
        assert day == {"date": f"{usage:%Y-%m-%d}", "cost": 1, "vms": 1, "hours": 1.0}

    @pytest.mark.parametrize("days", ["0", "31"])
    def test_refuses_days_out_of_range(self, as_sam: APIClient, days: str) -> None:
        assert "days" in details(as_sam.get("/billing/costs/daily", {"days": days}))


class TestAlerts:
    def test_warn_and_shout(self, world: World, as_sam: APIClient, as_alice: APIClient) -> None:
        runs(of(world.alice), timezone.now() - timedelta(seconds=1), cost="3600", charge="36")
        body = got(as_sam, "/billing/alerts", daily_limit=1, monthly_limit=1_000)
        assert [(one["type"], one["severity"]) for one in body["alerts"]] == [
            ("daily_limit_exceeded", "critical")
        ]
        assert set(body["current_usage"]) == {"daily_cost", "monthly_cost", "daily_limit", "monthly_limit"}
        assert body["current_usage"]["daily_cost"] >= 1
        assert got(as_alice, "/billing/alerts", daily_limit=1, monthly_limit=1)["alerts"] == []

    def test_have_limits_of_50_and_500(self, as_sam: APIClient) -> None:
        usual = {"daily_cost": 0, "monthly_cost": 0, "daily_limit": 50, "monthly_limit": 500}
        assert got(as_sam, "/billing/alerts") == {"alerts": [], "current_usage": usual}

    @pytest.mark.parametrize("name", ["daily_limit", "monthly_limit"])
    @pytest.mark.parametrize("value", ["0", "-1", "x", "NaN", "1e999"])
    def test_refuse_a_limit_by_its_name(self, as_sam: APIClient, name: str, value: str) -> None:
        assert name in details(as_sam.get("/billing/alerts", {name: value}))


class TestReport:
    def test_groups_filters_and_totals(self, usage: datetime, as_sam: APIClient) -> None:
        day = f"{usage:%Y-%m-%d}"
        body = got(
            as_sam,
            "/billing/reports",
            group_by="user,day",
            start_date=day,
            end_date=day,
            provider="tensordock",
        )
        assert body["group_by"] == ["user", "day"]
        assert [(row["name"].split(" ")[0], row["estimated_cost_usd"]) for row in body["rows"]] == [
            ("charlie@gamer.test", 4), ("alice@gamer.test", 1),
        ]  # fmt: skip
        assert body["rows"][0]["group"]["day"] == day
        assert body["rows"][0]["names"] == {"user": "charlie@gamer.test", "day": day}
        assert body["totals"]["charge_usd"] == 5
        assert {"margin_usd", "cost_per_play_hour_usd", "stopped_hours"} <= set(body["totals"])
        assert body["total_rows"] == 2
        assert got(as_sam, "/billing/reports", start_date=day, limit=1)["total_rows"] == 2

    @pytest.mark.parametrize("path", ["/billing/reports", "/billing/usage/custom"])
    def test_finds_what_was_used_of_a_kind_that_is_no_more(
        self, yesterday: datetime, as_sam: APIClient, path: str
    ) -> None:
        used(Where(provider="stadia"), yesterday, yesterday + timedelta(hours=1), charge="3")
        days = {"start_date": f"{yesterday:%Y-%m-%d}", "end_date": f"{yesterday:%Y-%m-%d}"}
        body = got(as_sam, path, provider="stadia", **days)
        assert (body.get("totals") or body["overall_summary"])["charge_usd"] == 3
        (text,) = details(as_sam.get(path, {"provider": "stada", **days}))["provider"]
        assert "tensordock" in text

    def test_forecasts_what_is_filtered(self, usage: datetime, as_sam: APIClient) -> None:
        def coming(**asked: str) -> float:
            return float(got(as_sam, "/billing/reports", **asked)["forecast_month_usd"])

        clouds = [coming(provider=name) for name in ("tensordock", "cloudypad_gcp")]
        assert min(clouds) > 0
        assert sum(clouds) == pytest.approx(coming(), rel=1e-3)
        assert coming(provider="libvirt") == 0

    def test_shows_neither_cost_nor_margin_to_a_manager(self, usage: datetime, as_mona: APIClient) -> None:
        body = got(as_mona, "/billing/reports", group_by="user", start_date=f"{usage:%Y-%m-%d}")
        assert [(row["name"], row["estimated_cost_usd"]) for row in body["rows"]] == [
            ("bob@gamer.test", 2),
            ("alice@gamer.test", 1),
        ]
        for row in (*body["rows"], body["totals"]):
            assert not {"margin_usd", "charge_usd", "cost_per_play_hour_usd"} & set(row)
        assert "saved_by_stopping_usd" not in body

    def test_narrows_by_handle_within_what_is_seen(self, usage: datetime, as_mona: APIClient) -> None:
        day = f"{usage:%Y-%m-%d}"
        mine = got(as_mona, "/billing/reports", user_id="alice@gamer.test", start_date=day)["totals"]
        assert mine["estimated_cost_usd"] == 1
        theirs = got(as_mona, "/billing/reports", user_id="charlie@gamer.test", start_date=day)["totals"]
        assert theirs["estimated_cost_usd"] == 0

    def test_sums_nobody_up_with_another_of_the_same_handle(
        self, usage: datetime, world: World, as_mona: APIClient, as_sam: APIClient
    ) -> None:
        """Arcade has a kim, and had one who left; Palace has one, too."""
        hour = timedelta(hours=1)
        for department, charge in ((world.arcade, "8"), (world.arcade, "16"), (world.palace, "32")):
            if charge == "16":
                User.objects.filter(handle="kim").update(department=None, department_role="")
            used(
                of(UserFactory(handle="kim", department=department)),
                usage,
                usage + hour,
                cost="1",
                charge=charge,
            )
        asked = {"user_id": "kim", "start_date": f"{usage:%Y-%m-%d}"}
        refused = details(as_sam.get("/billing/reports", asked))
        assert refused == {
            "user_id": ["several departments have a user of this name: name the department, too"]
        }
        sums = [
            got(client, "/billing/reports", **asked, **more)["totals"].get(figure)
            for client, more, figure in (
                (as_mona, {}, "estimated_cost_usd"),
                (as_sam, {"department_id": world.arcade.pk}, "charge_usd"),
                (as_sam, {"department_id": world.palace.pk}, "charge_usd"),
            )
        ]
        assert sums == [16, 16, 32]
        with pytest.raises(CommandError, match=r"^--user: several departments"):
            call_command("usage_report", "--user", "kim")
        out = StringIO()
        call_command(
            *("usage_report", "--user", "kim", "--department", str(world.palace.pk), "--format", "json"),
            stdout=out,
        )
        assert json.loads(out.getvalue())["totals"]["charge_usd"] == 32

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"group_by": "colour"}, "group_by"),
            ({"group_by": "user,day,provider"}, "group_by"),
            ({"group_by": "day,day"}, "group_by"),
            ({"limit": "0"}, "limit"),
            ({"start_date": "2025-01-01", "end_date": "2026-01-01"}, "start_date"),
            ({"end_date": "2026-01-01", "start_date": "2026-01-02"}, "end_date"),
            ({"project_id": "0"}, "project_id"),
            ({"colour": "red"}, "colour"),
            ({"provider": "tensordok"}, "provider"),
            ({"provider": "-"}, "provider"),
        ],
    )
    def test_refuses_by_the_fields_name(self, as_sam: APIClient, query: dict[str, str], field: str) -> None:
        assert field in details(as_sam.get("/billing/reports", query))


PATHS: list[tuple[str, dict[str, str]]] = [
    ("/billing/usage/combined", {"days": "30"}),
    ("/billing/usage/custom", {"start_date": "2026-01-01", "end_date": "2026-02-01", "provider": "gcp"}),
    ("/billing/usage/tensordock", {"days": "30", "limit": "10", "skip": "0"}),
    ("/billing/costs/current-month", {}),
    ("/billing/costs/daily", {"days": "7"}),
    ("/billing/alerts", {"daily_limit": "50", "monthly_limit": "500"}),
    (
        "/billing/reports",
        {"group_by": "provider", "region": "us", "console_type": "nes", "preset": "retro", "user_id": "x"},
    ),
]


@pytest.mark.parametrize(("path", "query"), PATHS)
class TestEveryPath:
    def test_refuses_what_nobody_understands(
        self, as_sam: APIClient, path: str, query: dict[str, str]
    ) -> None:
        assert sweep_query(as_sam, path, query) > 10

    def test_is_for_people_who_signed_in(self, anyone: APIClient, path: str, query: dict[str, str]) -> None:
        assert anyone.get(path, query).status_code == 401

    def test_takes_as_many_statements_for_much_as_for_little(
        self, world: World, yesterday: datetime, as_sam: APIClient, path: str, query: dict[str, str]
    ) -> None:
        def counted() -> int:
            with CaptureQueriesContext(connection) as asked:
                got(as_sam, path, **query)
            return len(asked)

        used(of(world.alice), yesterday, yesterday + timedelta(hours=1))
        few = counted()
        for number in range(6):
            used(Where(user=world.bob, region=f"r{number}"), yesterday, yesterday + timedelta(hours=2))
            runs(Where(user=world.charlie, region=f"r{number}"), yesterday)
        assert UsageDay.objects.count() > 6
        assert counted() <= few <= 16
