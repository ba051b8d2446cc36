"""Recording events, and forgetting their addresses. Call `record` inside the transaction of what happened: both or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from events import kinds
from events.models import Event
from gamer.context import present
from gamer.queue import schedules
from redaction.masks import masked

IPS_KEPT = timedelta(days=90)
BATCH = 1000
INSERT = """
    INSERT INTO events_event (at, actor, action, resource, resource_id, details, ip, request_id, owner_id, project_id, department_id)
    VALUES"""
ROW = f"({', '.join(['%s'] * 11)})"


@dataclass(frozen=True, slots=True)
class Happening:
    """An event to be. `actor` is `user:…`, `key:…`, `policy:…` or `command:…`; details are JSON and hold no secret."""

    at: datetime
    actor: str
    action: str
    resource: str
    resource_id: str
    details: Mapping[str, Any] = field(default_factory=dict)
    owner_id: int | None = None
    project_id: int | None = None
    department_id: int | None = None


def record(*happenings: Happening) -> None:
    """Writes the events in one statement, in the order given."""
    record_many(happenings)


def record_many(happenings: Iterable[Happening]) -> None:
    """Adds the request's id and address by itself. Raises ValueError for a kind that `kinds` does not list, outside production."""
    context = present()
    rows: list[tuple[Any, ...]] = []
    for one in happenings:
        if settings.REFUSE_UNLISTED_EVENTS:
            kinds.check(one.action, one.resource)
        about = (one.actor[:100], one.action, one.resource, one.resource_id[:64], Jsonb(masked(one.details)))
        rows.append(
            (one.at, *about, context.ip, context.request_id, one.owner_id, one.project_id, one.department_id)
        )
    if rows:
        # Every act tells something, most several times: what a query of models costs would be a fifth of a launch.
        with connection.cursor() as cursor:
            cursor.execute(
                f"{INSERT} {', '.join([ROW] * len(rows))}", [value for row in rows for value in row]
            )


def note(action: str, resource: str, resource_id: str, details: Mapping[str, Any]) -> None:
    """What somebody in the present context did just now (settings.RECORDER)."""
    actor = present().actor or "command:unknown"
    record(Happening(timezone.now(), actor, action, resource, resource_id, details))


def erase_ips(*, now: datetime, batch: int = BATCH) -> int:
    """Erases the addresses of events older than 90 days, a batch per transaction; how many."""
    erased = 0
    old = Event.timeline.filter(ip__isnull=False, at__lt=now - IPS_KEPT).order_by("at")
    while True:
        with transaction.atomic():
            ids = list(old.values_list("pk", flat=True)[:batch])
            erased += Event.timeline.filter(pk__in=ids).update(ip=None)
        if len(ids) < batch:
            break
    if erased:
        record(Happening(now, "policy:retention", "ips_erased", "events", "ip", {"events": erased}))
    return erased


def seed(now: datetime) -> None:
    """Has addresses erased every night."""
    schedules.keep("erase old addresses", "events.tasks.erase_ips", minutes=24 * 60)
