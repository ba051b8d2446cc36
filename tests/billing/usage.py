"""What was used, written straight into the rows, for tests of what reads them."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F

from accounts.models import Department, Project, User
from billing import rating
from billing.models import CostCentre, CreditAccount, Meter, Subject, UsageDay, UsageRecord

_number = itertools.count(1)


@dataclass(frozen=True)
class Where:
    """Whose a machine is, and what it is."""

    user: User | None = None
    project: Project | None = None
    department: Department | None = None
    provider: str = "tensordock"
    region: str = "us"
    console: str = "switch"
    preset: str = "premium"

    def centre(self) -> CostCentre:
        payer, _ = CreditAccount.objects.get_or_create(kind="house", code="tests")
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        centre, _ = CostCentre.objects.get_or_create(payer=payer, provider_account=1, **named)
        return centre


def of(user: User | None, **where: Any) -> Where:
    """A person's machine; their department's, too."""
    return Where(user=user, department=user.department if user else None, **where)


def at(text: str) -> datetime:
    """`2026-06-15 12:30`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def zone() -> ZoneInfo:
    return ZoneInfo(settings.BILLING_TIME_ZONE)


def subject_of(
    where: Where,
    start: datetime,
    end: datetime | None,
    cost: Decimal,
    charge: Decimal,
    vm: uuid.UUID | None = None,
) -> Subject:
    return Subject.objects.create(
        key=f"test:{next(_number)}", vm=vm or uuid.uuid4(), centre=where.centre(), price_source="rate", cost_usd_per_hour=cost,
        stopped_usd_per_hour=cost, charge_usd_per_hour=charge, started_at=start, ended_at=end,
    )  # fmt: skip


def used(
    where: Where, start: datetime, end: datetime, *, cost: str = "1", charge: str = "1", kind: str = "running",
    subject: Subject | None = None,
) -> Subject:  # fmt: skip
    """A machine from `start` to `end` in closed intervals, with their daily sums."""
    costs, charges = Decimal(cost), Decimal(charge)
    subject = subject or subject_of(where, start, end, costs, charges)
    if subject.ended_at is not None and subject.ended_at < end:
        Subject.objects.filter(pk=subject.pk).update(ended_at=end)
    for begin, stop in rating.cuts(start, end, zone()):
        _book(subject, kind, start, begin, stop, costs, charges)
    return subject


def _book(
    subject: Subject,
    kind: str,
    origin: datetime,
    begin: datetime,
    stop: datetime,
    cost: Decimal,
    charge: Decimal,
) -> None:
    day, us = rating.day_of(begin, zone()), int((stop - begin).total_seconds() * 1_000_000)
    money = {
        "cost_usd": rating.cost(cost, origin, begin, stop),
        "charge_usd": rating.cost(charge, origin, begin, stop),
    }
    UsageRecord.objects.create(
        subject=subject, centre=subject.centre, kind=kind, day=day, started_at=begin, ended_at=stop, origin=origin,
        cost_usd_per_hour=cost, charge_usd_per_hour=charge, **money,
    )  # fmt: skip
    UsageDay.objects.get_or_create(day=day, centre=subject.centre)
    times = {f"{kind}_us": F(f"{kind}_us") + us, **({"charged_us": F("charged_us") + us} if charge else {})}
    sums = {name: F(name) + usd for name, usd in money.items()}
    UsageDay.objects.filter(day=day, centre=subject.centre).update(**times, **sums)


def runs(
    where: Where, since: datetime, *, cost: str = "1", charge: str = "1", origin: datetime | None = None
) -> Subject:
    """A machine that still runs, its meter open since then."""
    subject = subject_of(where, origin or since, None, Decimal(cost), Decimal(charge))
    Meter.objects.create(
        subject=subject, centre=subject.centre, kind="running", origin=origin or since, since=since,
        cost_usd_per_hour=Decimal(cost), charge_usd_per_hour=Decimal(charge),
    )  # fmt: skip
    return subject
