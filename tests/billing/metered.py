"""Machines and accounts for tests of money: a Switch on a premium machine of TensorDock unless told otherwise."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import Department, Project, User
from billing.models import CreditAccount, Leg, Meter, Subject, UsageRecord
from billing.models.usage import UsageKind
from billing.services import accounts, metering, prices, proof, seeding
from billing.services.metering import Dimensions, Machine, State

RUNNING, STOPPED = UsageKind.RUNNING, UsageKind.STOPPED
BOOTS, PLAYS, RESTS = State(RUNNING), State(RUNNING, is_charged=True), State(STOPPED)


def D(text: str) -> Decimal:
    return Decimal(text)


class Till:
    """Follows machines for one payer, with the seeded rate card."""

    def __init__(self, user: User, now: datetime, **owners: Project | Department | None) -> None:
        seeding.seed(now)
        self.user = user
        self.account = accounts.payer_of(
            user=user, project=owners.get("project"), department=owners.get("department"), now=now
        )

    def follow(
        self,
        key: str,
        state: State | None,
        now: datetime,
        *,
        started_at: datetime | None = None,
        **changes: Any,
    ) -> None:
        def describe() -> Machine:
            price = prices.card(now).price(
                changes.get("provider", "tensordock"),
                changes.get("preset", "premium"),
                changes.get("console", "switch"),
                changes.get("quote"),
            )
            dimensions = Dimensions(
                payer_id=self.account.pk,
                provider=changes.get("provider", "tensordock"),
                console=changes.get("console", "switch"),
                preset=changes.get("preset", "premium"),
                user_id=self.user.pk,
                department_id=changes.get("department_id"),
            )
            return Machine(dimensions, price, started_at or now, changes.get("vm"))

        metering.follow(key=key, state=state, now=now, describe=describe)

    @property
    def balance(self) -> Decimal:
        self.account.refresh_from_db()
        return self.account.balance_usd

    def cost(self, key: str) -> Decimal:
        return sum((one.cost_usd for one in records(key)), D("0"))

    def charge(self, key: str) -> Decimal:
        return sum((one.charge_usd for one in records(key)), D("0"))


def records(key: str) -> list[UsageRecord]:
    return list(UsageRecord.objects.filter(subject__key=key).order_by("started_at"))


def broken() -> list[str]:
    """The laws that do not hold, with the first rows."""
    return [f"{one.law}: {one.examples}" for one in proof.verify() if not one.holds]


__all__ = [
    "BOOTS",
    "PLAYS",
    "RESTS",
    "UUID",
    "CreditAccount",
    "D",
    "Leg",
    "Meter",
    "State",
    "Subject",
    "Till",
    "broken",
    "records",
]  # fmt: skip
