"""What is told of a crossed threshold, and to whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from accounts.models import User
from billing.models import Budget, BudgetCrossing
from billing.models.budgets import Covers
from events import deliveries
from events.services import Happening

POLICY = "policy:budgets"


def subject_of(budget: Budget) -> str:
    """What a budget covers, in words."""
    match budget.covers:
        case Covers.PROVIDER:
            return f"provider {budget.provider}"
        case Covers.PROJECT:
            return f"project {budget.project}"
        case Covers.DEPARTMENT:
            return f"department {budget.department}"
        case Covers.USER:
            return f"user {budget.user}"
    return "everything"


def happening_of(crossing: BudgetCrossing, now: datetime) -> Happening:
    budget = crossing.budget
    return Happening(
        at=now, actor=POLICY, action="budget_crossed", resource="billing", resource_id=f"budget:{budget.pk}",
        details=details_of(crossing), owner_id=budget.user_id, project_id=budget.project_id,
        department_id=budget.audience_department_id,
    )  # fmt: skip


def details_of(crossing: BudgetCrossing) -> dict[str, Any]:
    budget = crossing.budget
    return {
        "budget_id": budget.pk, "name": budget.name, "covers": budget.covers, "subject": subject_of(budget),
        "percent": crossing.percent, "severity": crossing.severity, "spent_usd": float(crossing.spent_usd),
        "limit_usd": float(crossing.limit_usd), "period_start": crossing.period_start.isoformat(),
        "period_end": crossing.period_end.isoformat(),
    }  # fmt: skip


def _open(emails: Sequence[str]) -> Iterable[str]:
    """Without those of suspended people."""
    suspended = User.objects.filter(email__in=[one.lower() for one in emails], is_active=False)
    closed = set(suspended.values_list("email", flat=True))
    return (one for one in emails if one.lower() not in closed)


def posts_of(crossing: BudgetCrossing) -> Iterable[deliveries.Post]:
    budget = crossing.budget
    subject = f"[{crossing.severity}] Budget {budget.name}: {crossing.percent} % is spent"
    text = (
        f"The budget {budget.name} of {subject_of(budget)} has reached {crossing.percent} %:\n"
        f"{crossing.spent_usd:.2f} of {crossing.limit_usd:.2f} USD are spent in the period from {crossing.period_start}"
        f" to {crossing.period_end}.\n"
    )
    targets: list[tuple[str, str, int | None]] = [
        ("email", address, None) for address in _open(budget.emails)
    ]
    if budget.webhook is not None:
        targets.append(("webhook", budget.webhook.url, budget.webhook.pk))
    for channel, target, webhook_id in targets:
        yield deliveries.Post(
            key=f"crossing:{crossing.pk}:{channel}:{target}"[:200], channel=channel, target=target, kind="budget.crossed",
            subject=subject, text=text, details=details_of(crossing), webhook_id=webhook_id,
        )  # fmt: skip
