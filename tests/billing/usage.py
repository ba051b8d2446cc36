"""What was used, cut and summed up by the meters themselves, for tests of what reads it."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.models import Department, Project, User
from billing.models import CostCentre, Meter, Subject
from billing.services import accounts, lives, metering
from billing.services.metering import Dimensions

OPENED = datetime(2026, 1, 1, tzinfo=UTC)
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
        whose = {"user": self.user, "project": self.project, "department": self.department}
        payer = accounts.payer_of(**whose, now=OPENED)
        ids = {f"{name}_id": one.pk if one is not None else None for name, one in whose.items()}
        what = {
            "provider": self.provider,
            "region": self.region,
            "console": self.console,
            "preset": self.preset,
        }
        return metering.centre_of(Dimensions(payer_id=payer.pk, provider_account=1, **ids, **what))


def of(user: User | None, **where: Any) -> Where:
    """A person's machine; their department's, too."""
    return Where(user=user, department=user.department if user else None, **where)


def at(text: str) -> datetime:
    """`2026-06-15 12:30`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def subject_of(
    where: Where,
    start: datetime,
    end: datetime | None,
    cost: Decimal,
    charge: Decimal,
    vm: uuid.UUID | None = None,
) -> Subject:
    subject = Subject.objects.create(
        key=f"test:{next(_number)}", vm=vm or uuid.uuid4(), centre=where.centre(), price_source="rate", cost_usd_per_hour=cost,
        stopped_usd_per_hour=cost, charge_usd_per_hour=charge, started_at=start, ended_at=end,
    )  # fmt: skip
    lives.begins(subject)
    return subject


def used(
    where: Where, start: datetime, end: datetime, *, cost: str = "1", charge: str = "1", kind: str = "running",
    subject: Subject | None = None,
) -> Subject:  # fmt: skip
    """A machine from `start` to `end` in closed intervals, with their daily sums."""
    costs, charges = Decimal(cost), Decimal(charge)
    subject = subject or subject_of(where, start, end, costs, charges)
    if subject.ended_at is not None and subject.ended_at < end:
        Subject.objects.filter(pk=subject.pk).update(ended_at=end)
        lives.goes_on(subject, subject.ended_at)
        lives.ends(subject, end)
    meter = _meter(subject, kind, start, start, costs, charges)
    metering.close(meter, end)
    meter.delete()
    return subject


def _meter(
    subject: Subject, kind: str, origin: datetime, since: datetime, cost: Decimal, charge: Decimal
) -> Meter:
    return Meter.objects.create(
        subject=subject, centre=subject.centre, kind=kind, origin=origin, since=since, cost_usd_per_hour=cost,
        charge_usd_per_hour=charge, is_charged=charge > 0,
    )  # fmt: skip


def runs(
    where: Where, since: datetime, *, cost: str = "1", charge: str = "1", origin: datetime | None = None
) -> Subject:
    """A machine that still runs, its meter open since then."""
    subject = subject_of(where, origin or since, None, Decimal(cost), Decimal(charge))
    _meter(subject, "running", origin or since, since, Decimal(cost), Decimal(charge))
    return subject
