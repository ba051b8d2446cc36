from __future__ import annotations

import csv
import io
import json
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.utils import timezone

from events.models import Delivery, Event
from gamer.env import ROOT
from tests.billing.usage import of, runs, used
from tests.factories import UserFactory
from tests.world import World

pytestmark = pytest.mark.django_db


def said(command: str, *arguments: str) -> tuple[str, int]:
    """What the command wrote, and its exit code."""
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except SystemExit as error:
        return out.getvalue(), int(str(error.code))
    return out.getvalue(), 0


class TestBillingAlerts:
    def test_exits_0_when_all_is_well(self, world: World) -> None:
        text, code = said("billing_alerts")
        assert code == 0
        assert text.startswith("OK - today 0.00 of 50.00 USD, this month 0.00 of 500.00 USD | daily=0.000000")

    @pytest.mark.parametrize(
        ("limit", "code", "head"), [("100000", 0, "OK"), ("4", 1, "WARNING"), ("3.6", 2, "CRITICAL")]
    )
    def test_exits_1_from_80_percent_and_2_from_100(
        self, world: World, limit: str, code: int, head: str
    ) -> None:
        start = timezone.now() - timedelta(seconds=1)
        used(of(world.alice), start, start + timedelta(seconds=1), cost="12960")
        text, found = said("billing_alerts", "--daily-limit", limit)
        assert (found, text.split(" ")[0]) == (code, head)

    def test_says_in_json_what_the_api_says(self, world: World) -> None:
        runs(of(world.alice), timezone.now() - timedelta(seconds=1), cost="90000")
        text, code = said("billing_alerts", "--json", "--daily-limit", "1", "--monthly-limit", "1")
        assert code == 2
        assert [one["type"] for one in json.loads(text)["alerts"]] == [
            "daily_limit_exceeded",
            "monthly_limit_exceeded",
        ]
        assert json.loads(text)["current_usage"]["daily_limit"] == 1

    def test_mails_staff_once_a_day(self, world: World) -> None:
        runs(of(world.alice), timezone.now() - timedelta(seconds=1), cost="90000")
        for _ in range(2):
            said("billing_alerts", "--notify", "--daily-limit", "1")
        assert [one.target for one in Delivery.objects.all()] == ["sam@gamer.test"]
        assert Event.objects.filter(resource="billing", action="daily_limit_exceeded").count() == 1

    @pytest.mark.parametrize("value", ["0", "-1", "x", "NaN"])
    def test_refuses_a_limit_that_is_none(self, value: str) -> None:
        with pytest.raises(CommandError, match="monthly-limit"):
            call_command("billing_alerts", "--monthly-limit", value)

    @pytest.mark.parametrize(
        ("option", "given", "words"),
        [
            ("--notify", {}, "connection"),
            ("--daily-limit=x", {}, "'x' is not an amount"),
            ("--json", {"BILLING_TIME_ZONE": "Mars/Olympus"}, "Mars/Olympus"),
            ("--json", {"DJANGO_SETTINGS_MODULE": "no_such_module"}, "no_such_module"),
        ],
    )
    def test_exits_3_when_it_cannot_say(self, option: str, given: dict[str, str], words: str) -> None:
        """As a process, because the exit code is what Nagios reads; its database is away."""
        environment = {
            "DATABASE_URL": "postgres://gamer@127.0.0.1:1/gamer",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "GAMER_KEYS": Fernet.generate_key().decode(),
            **given,
        }
        ended = subprocess.run(
            [sys.executable, "manage.py", "billing_alerts", option],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert ended.returncode == 3, ended.stderr
        assert ended.stdout.startswith("UNKNOWN - ")
        assert words in ended.stdout


def test_a_report_before_any_use_is_empty_and_no_warning(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said("usage_report")[0].splitlines()[-1].split()[:2] == ["total", "0"]
    assert capsys.readouterr().err == ""


class TestUsageReport:
    @pytest.fixture(autouse=True)
    def _usage(self, world: World) -> None:
        start = timezone.now() - timedelta(days=2)
        used(of(world.alice), start, start + timedelta(hours=1), cost="1.5", charge="2")
        used(of(world.bob, provider="libvirt"), start, start + timedelta(hours=1), cost="0", charge="0.25")

    def test_is_a_table_with_totals(self) -> None:
        lines = said("usage_report")[0].splitlines()
        assert lines[0].split() == [
            "provider",
            "vms",
            "provider_hours",
            "charged_hours",
            "cost_usd",
            "charge_usd",
            "margin_usd",
        ]
        assert [line.split()[0] for line in lines[2:]] == ["tensordock", "libvirt", "----------", "total"]
        assert lines[-1].split()[1:] == ["2", "2.000000", "2.000000", "1.500000", "2.250000", "0.750000"]

    def test_is_csv_for_spreadsheets(self, world: World) -> None:
        world.alice.handle = "=cmd()"
        type(world.alice).objects.filter(pk=world.alice.pk).update(handle="@SUM")
        rows = list(
            csv.DictReader(io.StringIO(said("usage_report", "--format", "csv", "--group-by", "user")[0]))
        )
        assert [(row["user"], row["cost_usd"]) for row in rows] == [
            ("'@SUM", "1.500000"),
            ("bob@gamer.test", "0.000000"),
        ]

    def test_is_json_for_programs(self) -> None:
        found: dict[str, Any] = json.loads(
            said("usage_report", "--format", "json", "--group-by", "day", "--group-by", "provider")[0]
        )
        assert found["totals"]["charge_usd"] == 2.25
        assert {row["provider"] for row in found["rows"]} == {"tensordock", "libvirt"}

    def test_is_narrowed(self, world: World) -> None:
        found = json.loads(
            said("usage_report", "--format", "json", "--provider", "libvirt", "--user", "bob@gamer.test")[0]
        )
        assert found["totals"]["vms"] == 1
        start = timezone.now() - timedelta(days=2)
        used(of(world.bob, provider="cloudypad_gcp"), start, start + timedelta(hours=1), cost="3", charge="3")
        found = json.loads(said("usage_report", "--format", "json", "--provider", "gcp")[0])
        assert found["totals"]["cost_usd"] == 3
        assert json.loads(said("usage_report", "--format", "json", "--days", "1")[0])["rows"] == []

    def test_says_that_nothing_was_ever_used_of_what_it_is_narrowed_to(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report, code = said("usage_report", "--console", "swich", "--user", "bob@gamer.test")
        assert capsys.readouterr().err == "--console: nothing of 'swich' was ever used; used were: switch\n"
        assert report.splitlines()[-1].split()[:2] == ["total", "0"]
        assert code == 0

    def test_says_that_a_department_used_nothing(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Asked for by a number, which is easily another's."""
        said("usage_report", "--department", "999999")
        known = f"used were: {world.arcade.pk}\n"
        assert capsys.readouterr().err == f"--department: nothing of 999999 was ever used; {known}"

    def test_names_the_option_where_several_people_are_meant(self, world: World) -> None:
        for department in (world.arcade, world.palace):
            runs(of(UserFactory(handle="kim", department=department)), timezone.now() - timedelta(seconds=1))
        with pytest.raises(CommandError) as caught:
            call_command("usage_report", "--user", "kim")
        assert str(caught.value).startswith("--user: several departments have a user of this name")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--days", "0"], ["--days", "366"], ["--from", "yesterday"], ["--from", "2026-02-01", "--to", "2026-01-01"],
            ["--from", "2024-01-01", "--to", "2026-01-01"], ["--group-by", "colour"], ["--group-by", "day", "--group-by", "day"],
            ["--provider", "tensordok"], ["--from", "2026-01-01", "--days", "7"],
        ],
    )  # fmt: skip
    def test_refuses_what_it_does_not_understand(self, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("usage_report", *arguments)


class TestImportInvoice:
    def test_says_once_what_is_wrong_with_a_file(self, db: None, tmp_path: Path) -> None:
        path = tmp_path / "invoice.csv"
        path.write_text("day,machine_id,amount\n")
        with pytest.raises(CommandError) as caught:
            call_command("import_invoice", "tensordock", path)
        assert str(caught.value) == "file: No lines."
