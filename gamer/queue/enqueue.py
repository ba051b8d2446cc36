"""The one door to the queue: ids in, nothing out."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from gamer.queue.broker import PgBroker

Plain = str | int | float | bool | None


def enqueue(
    task: str, *args: Plain, group: str = "", delay_s: float = 0, timeout_s: int | None = None
) -> None:
    """Has `task` (a dotted path) called with `args` by some worker: at least once, not before `delay_s` seconds.

    The queue row is part of the caller's transaction: rolled back with it, seen by the workers once it commits. `group`
    is a label for the admin's lists. `timeout_s` is for work of minutes: it may take longer than the cluster's `timeout`, and
    is handed out again meanwhile (`retry`), so whoever comes second must see that somebody is at it.

    Raises TypeError for an argument that is not plain, because a pickled object would be a stale copy of a row (pass the id;
    a UUID as text).
    """
    for arg in args:
        if not (arg is None or isinstance(arg, str | int | float | bool)):
            raise TypeError(f"{task} takes ids and plain values, not a {type(arg).__name__}")
    options: dict[str, Any] = {"group": group} if group else {}
    if timeout_s is not None:
        options["timeout"] = timeout_s
    async_task(task, *args, broker=PgBroker(delay_s=delay_s), **options)


def waiting(task: str, *, among: int = 100) -> int:
    """How many calls of `task` are due and not taken yet, among the newest so many tasks that wait.

    For hints: as long as enough of them wait, one more changes nothing.
    """
    due = OrmQ.objects.filter(lock__lte=timezone.now()).order_by("-id")[:among]
    return sum(row.task.get("func") == task for row in due)
