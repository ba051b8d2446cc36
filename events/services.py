"""Recording events, and forgetting their addresses. Call `record` inside the transaction of what happened: both or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from events import kinds
from events.models import Event
from gamer.context import present
from gamer.queue import schedules
from redaction.masks import masked

IPS_KEPT = timedelta(days=90)
BATCH = 1000


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
    events = []
    for one in happenings:
        if settings.REFUSE_UNLISTED_EVENTS:
            kinds.check(one.action, one.resource)
        events.append(
            Event(
                at=one.at,
                actor=one.actor[:100],
                action=one.action,
                resource=one.resource,
                resource_id=one.resource_id[:64],
                details=masked(one.details),
                ip=context.ip,
                request_id=context.request_id,
                owner_id=one.owner_id,
                project_id=one.project_id,
                department_id=one.department_id,
            )
        )
    Event.objects.bulk_create(events)


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
