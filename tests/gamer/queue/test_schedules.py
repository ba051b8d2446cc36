from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django_q.models import OrmQ, Schedule, Task

from gamer.queue import failures, schedules
from tests.world import World

pytestmark = pytest.mark.django_db
TASK = "tests.gamer.queue.tasks.note"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DUE = NOW - timedelta(seconds=1)


def scheduled(**columns: object) -> Schedule:
    # As staff may have left it, past the checks of `save`.
    row = {"func": TASK, "next_run": DUE, "schedule_type": Schedule.MINUTES, "minutes": 5, **columns}
    return Schedule.objects.bulk_create([Schedule(**row)])[0]


def queued() -> list[tuple[object, ...]]:
    return [row.args() for row in OrmQ.objects.order_by("pk")]


class TestRunDue:
    def test_enqueues_what_is_due_and_counts_its_next_time(self) -> None:
        due = scheduled(name="sweep", args="1, 'two'", kwargs="three=3")
        later = scheduled(next_run=NOW + timedelta(seconds=1))
        assert schedules.run_due(NOW) == 1
        (row,) = OrmQ.objects.all()
        assert (row.func(), row.args(), row.kwargs(), row.group()) == (
            TASK,
            (1, "two"),
            {"three": 3},
            "sweep",
        )
        due.refresh_from_db()
        assert due.next_run == DUE + timedelta(minutes=5)
        assert due.task == row.task_id()
        later.refresh_from_db()
        assert later.next_run == NOW + timedelta(seconds=1)
        assert schedules.run_due(NOW) == 0

    def test_runs_a_missed_schedule_once_and_not_for_every_time_missed(self) -> None:
        schedule = scheduled(next_run=NOW - timedelta(hours=3))
        assert schedules.run_due(NOW) == 1
        schedule.refresh_from_db()
        assert NOW < schedule.next_run <= NOW + timedelta(minutes=5)

    @pytest.mark.parametrize(
        "bad",
        [
            {"args": "1, ("},
            {"args": "open('/etc/passwd')"},
            {"kwargs": "a=b"},
            {"kwargs": "[1, 2]"},
            {"schedule_type": "?"},
            {"schedule_type": Schedule.CRON, "cron": "no cron at all"},
        ],
    )
    def test_switches_a_bad_row_off_and_runs_the_others(self, bad: dict[str, object]) -> None:
        scheduled(args="'first'", next_run=DUE - timedelta(seconds=2))
        broken = scheduled(name="broken", next_run=DUE - timedelta(seconds=1), **bad)
        scheduled(args="'last'")
        assert schedules.run_due(NOW) == 2
        assert queued() == [("first",), ("last",)]
        broken.refresh_from_db()
        assert broken.repeats == 0
        (report,) = Task.objects.filter(success=False)
        assert report.name == "schedule broken"
        assert "Traceback" in report.result
        assert failures.switched_off() == ["broken"]
        assert schedules.run_due(NOW + timedelta(days=1)) == 2

    def test_ends_after_the_wanted_number_of_times(self) -> None:
        schedule = scheduled(repeats=2)
        for hour in range(4):
            schedules.run_due(NOW + timedelta(hours=hour))
        assert len(queued()) == 2
        schedule.refresh_from_db()
        assert schedule.repeats == 0

    def test_forgets_a_single_run(self) -> None:
        scheduled(schedule_type=Schedule.ONCE)
        assert schedules.run_due(NOW) == 1
        assert not Schedule.objects.exists()

    def test_leaves_other_queues_rows_to_their_clusters(self) -> None:
        scheduled(cluster="slow")
        assert schedules.run_due(NOW) == 0

    def test_passes_the_intended_moment_on(self) -> None:
        scheduled(intended_date_kwarg="at")
        schedules.run_due(NOW)
        assert OrmQ.objects.get().kwargs() == {"at": DUE.isoformat()}


class TestSwitchedOff:
    def test_are_not_those_that_staff_switched_off_or_that_are_repaired(self) -> None:
        broken = scheduled(name="broken", args="1, (")
        scheduled(name="unwanted", repeats=0)
        schedules.run_due(NOW)
        assert failures.switched_off() == ["broken"]
        Schedule.objects.filter(pk=broken.pk).update(args="1", repeats=-1)
        assert failures.switched_off() == []

    def test_stay_so_when_staff_resubmit_the_task_that_says_why(self, world: World, client: Client) -> None:
        scheduled(name="broken", args="1, (")
        schedules.run_due(NOW)
        client.force_login(world.sam)
        form = {"action": "resubmit_task", ACTION_CHECKBOX_NAME: [Task.objects.get().pk]}
        assert client.post("/admin/django_q/failure/", form).status_code == 302
        assert not Task.objects.exists()
        assert failures.switched_off() == ["broken"]


class TestKeep:
    def test_makes_a_schedule_once_and_follows_a_change(self) -> None:
        schedules.keep("sweep", TASK, minutes=5)
        schedules.keep("sweep", TASK, minutes=7)
        assert list(Schedule.objects.values_list("name", "func", "minutes", "repeats")) == [
            ("sweep", TASK, 7, -1)
        ]

    def test_does_not_switch_on_what_staff_switched_off(self) -> None:
        schedules.keep("sweep", TASK, minutes=5)
        Schedule.objects.update(repeats=0)
        schedules.keep("sweep", TASK, minutes=5)
        assert Schedule.objects.get().repeats == 0
