"""Telling staff about money: an event, and a mail to each of them who has an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.models import User
from billing.rating import day_of
from billing.reports.spending import Alert
from events import deliveries
from events.models import Event
from events.services import Happening, record

MOST_STAFF = 200


@transaction.atomic
def tell_staff(alerts: Sequence[Alert], *, now: datetime, zone: ZoneInfo) -> int:
    """Mails alerts, each once in its day or month however often this is called; returns how many were new."""
    today = day_of(now, zone)
    told = 0
    for alert in alerts:
        period = f"{today:%Y-%m}" if alert.type.startswith("monthly") else f"{today:%Y-%m-%d}"
        told += mail_staff(
            key=f"{alert.type}:{period}", kind="billing.alert", subject=f"[{alert.severity}] {alert.message}", text=alert.message,
            details={"type": alert.type, "severity": alert.severity, "message": alert.message}, action=alert.type, now=now,
        )  # fmt: skip
    return told


def mail_staff(
    *, key: str, kind: str, subject: str, text: str, details: Mapping[str, Any], action: str, now: datetime
) -> bool:
    """One message to every member of the staff, and an event for them; False when the key was told before."""
    if Event.objects.about("billing", key).exists():
        return False
    staff = User.objects.filter(is_staff=True, is_active=True, email__isnull=False).order_by("id")
    deliveries.post(
        [
            deliveries.Post(
                key=f"staff:{key}:{person.pk}", channel="email", target=str(person.email), kind=kind, subject=subject, text=text,
                details=details,
            )
            for person in staff[:MOST_STAFF]
        ],
        now=now,
    )  # fmt: skip
    record(
        Happening(
            at=now,
            actor="policy:billing",
            action=action,
            resource="billing",
            resource_id=key,
            details=details,
        )
    )
    return True
