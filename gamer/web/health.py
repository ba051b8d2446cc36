"""What `/health?full=1` looks at. Apps above add theirs by dotted path in settings.HEALTH_CHECKS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils.module_loading import import_string

from gamer.queue import failures, schedules
from gamer.queue.broker import backlog

QUEUE_LATE_S = 60  # a live worker claims a due task within seconds
SCHEDULE_LATE_S = 180  # our worker looks every 10 s


@dataclass(frozen=True, slots=True)
class Part:
    """One part's health. `problem` is empty when it is well; `figures` are JSON."""

    name: str
    problem: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


Check = Callable[[datetime], Iterable[Part]]


def database(now: datetime) -> Iterable[Part]:
    started = perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version')")
        (version,) = cursor.fetchone()
    figures = {"version": version, "latency_ms": round(1000 * (perf_counter() - started), 2)}
    yield Part("database", figures=figures)


def queue(now: datetime) -> Iterable[Part]:
    age_s = round(backlog().oldest_due_s)
    problem = f"the oldest task has waited for {age_s} s" if age_s > QUEUE_LATE_S else ""
    yield Part("queue", problem, {"oldest_due_s": age_s})


def scheduler(now: datetime) -> Iterable[Part]:
    late_s = round(schedules.late_s(now))
    problem = f"a schedule is {late_s} s late" if late_s > SCHEDULE_LATE_S else ""
    yield Part("scheduler", problem, {"oldest_due_s": late_s})


def tasks(now: datetime) -> Iterable[Part]:
    """A schedule that cannot run stays off until somebody repairs it. A task that failed is told only: its work is found again."""
    off = failures.switched_off()
    problem = f"switched off, because it cannot run: {', '.join(off)}" if off else ""
    yield Part("tasks", problem, {"failed_last_hour": failures.lately(now), "switched_off": len(off)})


def look(now: datetime) -> list[Part]:
    """Every part, in the order of the settings. A check that cannot reach the database is a part that is not well."""
    parts: list[Part] = []
    for path in settings.HEALTH_CHECKS:
        check: Check = import_string(path)
        try:
            parts.extend(check(now))
        except (DatabaseError, InterfaceError) as error:
            parts.append(
                Part(path.rpartition(".")[2], f"the database does not answer ({type(error).__name__})")
            )
    return parts
