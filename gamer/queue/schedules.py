"""django-q2's schedules, each in a transaction of its own: a bad row is switched off and reported, the others run.

The stock scheduler runs all due rows in one transaction, so one with unreadable arguments rolls all of them back, every
time. Rows, their admin and their meaning stay django-q2's.
"""

from __future__ import annotations

import ast
import logging
import traceback
from datetime import datetime
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from django.db.models import Min, Q
from django_q.conf import Conf
from django_q.models import Schedule, Task
from django_q.tasks import async_task

from gamer.queue import failures

logger = logging.getLogger(__name__)

# All that reading a row's text and counting its next date can raise.
BAD_ROW = (
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    ImportError,
    UnboundLocalError,
    RecursionError,
    MemoryError,
    DataError,
    IntegrityError,
)


def keep(name: str, task: str, *, minutes: int) -> None:
    """Has `task` (a dotted path, no arguments) run every `minutes`; changes the schedule of that name when there is one.

    A schedule that staff switched off stays off.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:  # the table knows no unique names
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('gamer.schedules'))")
        wanted = {"func": task, "schedule_type": Schedule.MINUTES, "minutes": minutes}
        if not Schedule.objects.filter(name=name).update(**wanted):
            Schedule.objects.create(name=name, **wanted)


def run_due(now: datetime) -> int:
    """Enqueues what is due, each once however many clusters look; returns how many. A database that is away is logged."""
    started = 0
    seen: list[int] = []
    try:
        while True:
            with transaction.atomic():
                schedule = _next_due(now, seen)
                if schedule is None:
                    return started
                seen.append(schedule.pk)
                try:
                    with transaction.atomic():
                        _start(schedule, now)
                    started += 1
                except BAD_ROW as error:
                    _switch_off(schedule.pk, error, now)
    except DatabaseError as error:
        logger.warning("could not look at the schedules: %s", str(error).strip())
        connection.close()
        return started


def late_s(now: datetime) -> float:
    """How late the latest schedule is; 0 when none is due."""
    due = Schedule.objects.filter(next_run__lte=now).exclude(repeats=0)
    oldest = due.aggregate(oldest=Min("next_run"))["oldest"]
    return 0.0 if oldest is None else (now - oldest).total_seconds()


def _next_due(now: datetime, seen: list[int]) -> Schedule | None:
    is_ours = Q(cluster=Conf.CLUSTER_NAME)
    if Conf.CLUSTER_NAME == Conf.PREFIX:
        is_ours |= Q(cluster__isnull=True)
    due = Schedule.objects.filter(is_ours, next_run__lt=now).exclude(repeats=0).exclude(pk__in=seen)
    return due.select_for_update(skip_locked=True).order_by("next_run", "pk").first()


def _start(schedule: Schedule, now: datetime) -> None:
    args, kwargs = _arguments(schedule.args), _keywords(schedule.kwargs)
    options = {**kwargs.pop("q_options", {}), "group": schedule.name or str(schedule.pk)}
    if schedule.intended_date_kwarg:
        kwargs[schedule.intended_date_kwarg] = schedule.next_run.isoformat()
    if schedule.hook:
        options["hook"] = schedule.hook
    if schedule.cluster:
        options["cluster"] = schedule.cluster
    schedule.task = async_task(schedule.func, *args, q_options=options, **kwargs)
    if schedule.schedule_type == Schedule.ONCE:
        if schedule.repeats < 0:
            schedule.delete()
            return
        schedule.repeats = 0
    else:
        schedule.next_run = schedule.calculate_next_run()
        while schedule.next_run <= now and not Conf.CATCH_UP:
            schedule.next_run = schedule.calculate_next_run()
        schedule.repeats = max(-1, schedule.repeats - 1) if schedule.repeats > 0 else -1
    schedule.save()


def _arguments(text: str | None) -> tuple[Any, ...]:
    """`1, "two"` or a single value, as django-q2's admin writes them."""
    if not text:
        return ()
    value = ast.literal_eval(text)
    return value if isinstance(value, tuple) else (value,)


def _keywords(text: str | None) -> dict[str, Any]:
    """`{"a": 1}` or `a=1`."""
    if not text:
        return {}
    tree = ast.parse(text if text.lstrip().startswith("{") else f"dict({text})", mode="eval").body
    if not isinstance(tree, ast.Call):
        return dict(ast.literal_eval(tree))
    if tree.args or any(keyword.arg is None for keyword in tree.keywords):
        raise ValueError(f"keyword arguments need names: {text}")
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords}


def _switch_off(pk: int, error: BaseException, now: datetime) -> None:
    """Ends a schedule that cannot run, and leaves the reason where staff look: the log and django-q2's failed tasks."""
    schedule = Schedule.objects.get(pk=pk)
    name = schedule.name or schedule.func
    logger.error("schedule %s is switched off, because it cannot run: %r", name, error)
    report = Task.objects.create(
        id=failures.id_of_a_reason(),
        name=f"schedule {name}"[:100],
        func=schedule.func,
        args=(),
        kwargs={},
        started=now,
        stopped=now,
        success=False,
        result="".join(traceback.format_exception(error)),
    )
    Schedule.objects.filter(pk=pk).update(repeats=0, task=report.pk)
