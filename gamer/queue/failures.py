"""What came to nothing, as django-q2 keeps it: tasks that failed, and schedules that were switched off because they cannot run."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django_q.models import Schedule, Task

KEPT = timedelta(days=30)
LATELY = timedelta(hours=1)
# How the id begins of the failed task that says why a schedule was switched off, and that stays in the schedule's `task`: others' are
# hexadecimal. Staff may delete that task or hand it to the queue once more, which switches nothing on.
MARK = "off-"


def id_of_a_reason() -> str:
    """A new id of such a task; the column holds 32 characters."""
    return f"{MARK}{uuid.uuid4().hex}"[:32]


def lately(now: datetime) -> int:
    """How many tasks failed within the hour."""
    return int(Task.objects.filter(success=False, stopped__gt=now - LATELY).count())


def switched_off() -> list[str]:
    """The schedules that cannot run, until somebody repairs, deletes or switches them on; those that staff switched off do not count."""
    rows = Schedule.objects.filter(task__startswith=MARK, repeats=0).order_by("name", "func")
    return [name or func for name, func in rows.values_list("name", "func")]


def forget(now: datetime) -> None:
    """Deletes what failed a month ago, but for why a schedule is still off."""
    old = Task.objects.filter(success=False, stopped__lt=now - KEPT)
    named = Schedule.objects.filter(repeats=0, task=OuterRef("pk"))
    old.filter(~Exists(named)).delete()
