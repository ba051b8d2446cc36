"""Recording events. Call inside the transaction of the thing that happened, so that both or neither are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from events.models import Event


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
    Event.objects.bulk_create(
        Event(
            at=one.at,
            actor=one.actor,
            action=one.action,
            resource=one.resource,
            resource_id=one.resource_id,
            details=dict(one.details),
            owner_id=one.owner_id,
            project_id=one.project_id,
            department_id=one.department_id,
        )
        for one in happenings
    )
