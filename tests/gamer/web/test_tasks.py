from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_q.models import Schedule, Task

from gamer.web import tasks
from gamer.web.models import Allowance, IdempotencyRecord
from gamer.web.throttles import Rate, take

pytestmark = pytest.mark.django_db


class TestSweep:
    def test_is_scheduled_by_its_name(self) -> None:
        tasks.seed(timezone.now())
        assert Schedule.objects.get().func == "gamer.web.tasks.sweep"

    def test_forgets_what_is_past_its_time_only(self) -> None:
        now = timezone.now()
        old, rate = now - timedelta(days=2), Rate(burst=1, period_s=60)
        for name, at in (("old", old), ("young", now)):
            take(name, rate, now=at)
            IdempotencyRecord.objects.create(principal="user:1", key=name, request_hash="", created_at=at)
            Session.objects.create(session_key=name, expire_date=at + timedelta(hours=1))
        tasks.sweep()
        assert Allowance.objects.get().name == "young"
        assert IdempotencyRecord.objects.get().key == "young"
        assert Session.objects.get().session_key == "young"

    def test_forgets_failed_tasks_after_a_month_but_for_why_a_schedule_is_off(self) -> None:
        now = timezone.now()
        for name, days in (("schedule broken", 31), ("schedule repaired", 31), ("old", 31), ("young", 29)):
            at = now - timedelta(days=days)
            Task.objects.create(id=name, name=name, func="x", started=at, stopped=at, success=False)
        Schedule.objects.create(name="broken", func="x", repeats=0, task="schedule broken")
        Schedule.objects.create(name="repaired", func="x", repeats=-1, task="schedule repaired")
        tasks.sweep()
        assert set(Task.objects.values_list("name", flat=True)) == {"schedule broken", "young"}
