"""Thirty days that never were: as exact as real ones, made once, and not by accident."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db.models import Count, Max, Min
from django.utils import timezone

from accounts.models import Department, Project, User
from billing.models import Meter, Subject, UsageRecord
from billing.periods import last_days
from billing.reports import report
from billing.reports.spending import STAFF
from billing.services import seeding
from emulators.services import seed as seed_consoles
from events.models import Event
from monitoring.models import Hour, Minute
from portal import demo
from tests.billing.metered import broken
from tests.world import NOON
from vms.models import VM

pytestmark = pytest.mark.django_db
UTC_ZONE = ZoneInfo("UTC")
# Nobody has played within the hour that may still be told.
EARLY = NOON - timedelta(hours=5)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few days are as good as thirty."""
    monkeypatch.setattr(demo, "DAYS", 4)
    seeding.seed(NOON)
    seed_consoles(NOON)


class TestDemo:
    def test_keeps_the_books_and_the_daily_sums_exact(self, short: None) -> None:
        made = demo.seed(NOON)
        found = report(period=last_days(5, NOON, UTC_ZONE), sight=STAFF, now=NOON, group_by=("user",))
        assert broken() == []
        assert made == found.totals.vms == Subject.objects.count() == VM.objects.count()
        assert found.totals.margin_usd > 0
        assert found.totals.saved_usd > 0
        assert not Meter.objects.exists()

    def test_is_the_same_however_often_and_goes_on_the_next_day(self, short: None) -> None:
        first = demo.seed(NOON)
        before = set(UsageRecord.objects.values_list("pk", flat=True))
        assert demo.seed(NOON) == 0
        assert set(UsageRecord.objects.values_list("pk", flat=True)) == before
        second = demo.seed(NOON + timedelta(days=1))
        assert second > 0
        assert Subject.objects.count() == first + second
        assert broken() == []

    def test_tells_how_each_machine_did_while_somebody_played(self, short: None) -> None:
        demo.seed(EARLY)
        ran = {vm.pk: (vm.ready_at, vm.last_activity) for vm in VM.objects.all()}
        told = Minute.objects.values("subject").annotate(first=Min("at"), last=Max("at"), count=Count("at"))
        assert len(told) == len(ran)
        for one in told:
            ready_at, stopped_at = ran[one["subject"]]
            assert 0 <= (ready_at - one["first"]).total_seconds() < 60
            assert stopped_at - timedelta(minutes=2) < one["last"] < stopped_at
            assert one["count"] == (one["last"] - one["first"]) / timedelta(minutes=1) + 1
        assert set(Hour.objects.values_list("subject", flat=True)) == ran.keys()
        minutes = Minute.objects.count()
        demo.seed(EARLY)
        assert Minute.objects.count() == minutes

    def test_marks_all_it_makes(self, short: None) -> None:
        demo.seed(NOON)
        assert not User.objects.exclude(handle__startswith="demo-").exists()
        assert not Department.objects.exclude(name__startswith="Demo ").exists()
        assert not Project.objects.exclude(name__startswith="Demo ").exists()
        assert not Subject.objects.exclude(key__startswith="demo:").exists()
        assert not VM.objects.exclude(name__startswith="Demo ").exists()
        assert not Event.objects.exclude(actor="command:seed_demo").exclude(resource="emulators").exists()
        assert not User.objects.exclude(password__startswith="!").exists()


class TestCommand:
    def test_refuses_in_production_unless_it_is_meant(
        self, short: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(settings, "ENV", replace(settings.ENV, is_production=True))
        with pytest.raises(CommandError, match="--force"):
            call_command("seed_demo")
        assert not Subject.objects.exists()
        call_command("seed_demo", force=True)
        assert "machines of demo people made." in capsys.readouterr().out
        call_command("seed_demo", force=True)
        assert "All of it was there already." in capsys.readouterr().out
        assert Subject.objects.filter(started_at__gte=timezone.now() - timedelta(days=6)).exists()

    def test_needs_consoles(self, db: None) -> None:
        with pytest.raises(CommandError, match="First: "):
            call_command("seed_demo", force=True)
