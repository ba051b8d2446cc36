"""Making and changing budgets. Staff and keys that bill make any; a department's managers make those of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.models import Department, Project, User
from accounts.principal import Principal
from billing import kinds, rating
from billing.budgets.notices import subject_of
from billing.budgets.watch import evaluate
from billing.models import Budget, Threshold
from billing.models.budgets import MOST_DAYS, MOST_EMAILS, MOST_PERCENT, BudgetPeriod, Covers
from billing.sight import Sight, sight_of
from events import deliveries
from events.channels.webhook import is_secret, make_secret
from events.models import Webhook
from events.services import Happening, record
from gamer.errors import Conflict, NotFound, PermissionDenied, bad_field

MOST_THRESHOLDS = 10
# Of a department, while its managers make more: each may be told to many at once.
MOST_BUDGETS = 50


@dataclass(frozen=True, slots=True)
class Step:
    """One threshold as somebody asks for it."""

    percent: int
    notifies: bool = True
    blocks_launches: bool = False
    stops_vms: bool = False


USUAL = (Step(80), Step(100))
COLUMNS = ("name", "period", "starts_on", "ends_on", "limit_usd", "emails", "is_active")
PERIOD = ("period", "starts_on", "ends_on")


@dataclass(frozen=True, slots=True)
class Target:
    """What a budget covers: one of these, or everything."""

    provider: str = ""
    project: Project | None = None
    department: Department | None = None
    user: User | None = None

    @property
    def covers(self) -> Covers:
        given = {
            Covers.PROVIDER: bool(self.provider), Covers.PROJECT: self.project is not None,
            Covers.DEPARTMENT: self.department is not None, Covers.USER: self.user is not None,
        }  # fmt: skip
        chosen = [covers for covers, is_given in given.items() if is_given]
        if len(chosen) > 1:
            raise bad_field("covers", f"One of {', '.join(chosen)}, not several.")
        return chosen[0] if chosen else Covers.GLOBAL


EVERYTHING = Target()


@dataclass(frozen=True, slots=True)
class Made:
    """A budget, and the secret of a webhook that was made for it: told once, to who made it."""

    budget: Budget
    webhook_secret: str = ""


@transaction.atomic
def create(
    *, by: Principal, now: datetime, name: str, limit_usd: Decimal, target: Target = EVERYTHING, period: str = BudgetPeriod.MONTHLY,
    starts_on: date | None = None, ends_on: date | None = None, thresholds: Sequence[Step] = USUAL, emails: Sequence[str] = (),
    webhook_url: str = "", webhook_secret: str = "", is_active: bool = True,
) -> Made:  # fmt: skip
    """A new budget, looked at at once. Raises PermissionDenied, ValidationError naming the field, Conflict for one too many."""
    covers, sight = target.covers, sight_of(by)
    _may_steer(sight, covers, target)
    _demand_few(sight, by)
    _demand_still_there(sight, target.user)
    provider = target.provider and kinds.known(target.provider)
    budget = Budget(
        name=name, covers=covers, provider=provider, project=target.project, department=target.department,
        user=target.user, within_id=sight.department_id if covers == Covers.USER else None, period=period,
        starts_on=starts_on, ends_on=ends_on, limit_usd=limit_usd, emails=list(emails), is_active=is_active, created_at=now,
    )  # fmt: skip
    _check(budget)
    _may_write_to(sight, budget.emails)
    secret = _point(budget, webhook_url, webhook_secret)
    budget.save(force_insert=True)
    _set_thresholds(budget, thresholds)
    _record(
        budget,
        "create",
        by,
        now,
        {"limit_usd": rating.told(limit_usd), "covers": covers, "subject": subject_of(budget)},
    )
    evaluate(now, [budget.pk])
    return Made(budget, secret)


@transaction.atomic
def change(
    *, by: Principal, budget: Budget, now: datetime, thresholds: Sequence[Step] | None = None,
    webhook_url: str | None = None, webhook_secret: str = "", **changes: Any,
) -> Made:  # fmt: skip
    """Changes columns of COLUMNS, thresholds, the webhook; what it covers stays. A raised limit lifts what no longer holds."""
    row = _lock(budget, by)
    unknown = set(changes) - set(COLUMNS)
    if unknown:
        raise TypeError(f"a budget has no changeable {', '.join(sorted(unknown))}")
    before, days = set(row.emails), [getattr(row, name) for name in PERIOD]
    for column, value in changes.items():
        setattr(row, column, value)
    # A form sends them along as they were.
    _check(row, are_days_new=days != [getattr(row, name) for name in PERIOD])
    # Whom staff named may stay.
    _may_write_to(sight_of(by), set(row.emails) - before)
    if webhook_url is None and webhook_secret:
        webhook_url = row.webhook.url if row.webhook is not None else ""
    secret = "" if webhook_url is None else _point(row, webhook_url, webhook_secret)
    row.save()
    if thresholds is not None:
        _set_thresholds(row, thresholds)
    told = {name: _told(value) for name, value in changes.items()}
    _record(row, "update", by, now, told)
    evaluate(now, [row.pk])
    return Made(row, secret)


@transaction.atomic
def delete(*, by: Principal, budget: Budget, now: datetime) -> None:
    """Ends a budget with all it forbids; what happened stays in the events."""
    row = _lock(budget, by, for_deletion=True)
    webhook = row.webhook
    _record(row, "delete", by, now, {"name": row.name})
    row.delete()
    if webhook is not None:
        webhook.delete()


def _lock(budget: Budget, by: Principal, *, for_deletion: bool = False) -> Budget:
    """The row until the end of the transaction, before anything that points at it. Not FOR UPDATE, unless it goes."""
    row = Budget.objects.select_for_update(no_key=not for_deletion).filter(pk=budget.pk).first()
    # Since it was found somebody may have deleted it, or whom it is of may have left the manager's department.
    if row is None or not Budget.objects.visible_to(by).filter(pk=row.pk).exists():
        raise NotFound("There is no such budget.")
    return row


def _may_steer(sight: Sight, covers: Covers, target: Target) -> None:
    if not sight.may_steer:
        raise PermissionDenied(
            "Budgets are made by staff, by keys that bill, and by a department's managers."
        )
    if sight.is_everything:
        return
    of = {
        Covers.DEPARTMENT: target.department.pk if target.department else None,
        Covers.PROJECT: target.project.department_id if target.project else None,
        Covers.USER: target.user.department_id if target.user else None,
    }
    if of.get(covers) != sight.department_id:
        raise PermissionDenied("A budget of your own department, of its projects or people.")


def _demand_few(sight: Sight, by: Principal) -> None:
    if sight.department_id is None:
        return
    # Two at once would both be the last.
    department = Department.objects.select_for_update(no_key=True).get(pk=sight.department_id)
    if Budget.objects.visible_to(by).count() >= MOST_BUDGETS:
        text = f"The department {department} may have {MOST_BUDGETS} budgets and has as many."
        raise Conflict(text, details={"budgets": [text]})


def _demand_still_there(sight: Sight, user: User | None) -> None:
    """Under the department's lock: who leaves meanwhile takes no budget of it along."""
    if sight.department_id is None or user is None:
        return
    if not User.objects.filter(pk=user.pk, department=sight.department_id).exists():
        raise Conflict(f"{user} changed department a moment ago. Try again.")


def _may_write_to(sight: Sight, emails: Collection[str]) -> None:
    """Who is not staff has us write to their own people only: it is our name that the mail is from."""
    if sight.is_everything or not emails:
        return
    people = User.objects.filter(department=sight.department_id, is_active=True)
    known = set(people.filter(email__in=[one.lower() for one in emails]).values_list("email", flat=True))
    strange = sorted(one for one in emails if one.lower() not in known)
    if strange:
        raise bad_field("emails", f"Not of active people of your department: {', '.join(strange)}.")


def _check(budget: Budget, *, are_days_new: bool = True) -> None:
    """What the form of the admin and the API refuse alike. Raises ValidationError naming the field.

    A custom period of before there was an end to its length stays what it is, until somebody changes it.
    """
    if budget.limit_usd <= 0:
        raise bad_field("limit_usd", "More than 0.")
    is_custom = budget.period == BudgetPeriod.CUSTOM
    for name in ("starts_on", "ends_on"):
        if (getattr(budget, name) is not None) != is_custom:
            text = "A custom period needs it." if is_custom else "Only a custom period has one."
            raise bad_field(name, text)
    if budget.starts_on and budget.ends_on and budget.ends_on < budget.starts_on:
        raise bad_field("ends_on", "Before the period starts.")
    if are_days_new and budget.starts_on and budget.ends_on:
        for name, day in (("starts_on", budget.starts_on), ("ends_on", budget.ends_on)):
            if not 2000 <= day.year <= 2999:
                raise bad_field(name, "A day of the years 2000 to 2999.")
        if (budget.ends_on - budget.starts_on).days >= MOST_DAYS:
            raise bad_field("ends_on", f"At most {MOST_DAYS} days.")
    if len(budget.emails) > MOST_EMAILS:
        raise bad_field("emails", f"At most {MOST_EMAILS}.")
    for address in budget.emails:
        deliveries.check_target("email", address, "emails")


def _point(budget: Budget, url: str, secret: str) -> str:
    """Points a budget at a webhook, or at none; returns a secret that was made here, which nobody else has seen."""
    if secret and not is_secret(secret):
        raise bad_field("webhook_secret", "whsec_ and base64 of 24 to 64 bytes.")
    if secret and not url:
        raise bad_field("webhook_url", "A secret signs what goes to an address.")
    old = budget.webhook
    if old is not None and old.url == url:
        if secret:
            old.secret = secret
            old.save(update_fields=["secret"])
        return ""
    budget.webhook = None
    if url:
        deliveries.check_target("webhook", url, "webhook_url")
        made = "" if secret else make_secret()
        budget.webhook = Webhook.objects.create(url=url, secret=secret or made)
    else:
        made = ""
    if old is not None:
        Budget.objects.filter(pk=budget.pk).update(webhook=None)
        old.delete()
    return made


def _set_thresholds(budget: Budget, steps: Sequence[Step]) -> None:
    if not 1 <= len(steps) <= MOST_THRESHOLDS:
        raise bad_field("thresholds", f"From 1 to {MOST_THRESHOLDS}.")
    by_percent: Mapping[int, Step] = {step.percent: step for step in steps}
    if len(by_percent) < len(steps):
        raise bad_field("thresholds", "Each percent once.")
    if not all(1 <= percent <= MOST_PERCENT for percent in by_percent):
        raise bad_field("thresholds", f"A percent from 1 to {MOST_PERCENT}.")
    budget.thresholds.exclude(percent__in=by_percent).delete()
    Threshold.objects.bulk_create(
        (
            Threshold(
                budget=budget, percent=step.percent, notifies=step.notifies, blocks_launches=step.blocks_launches,
                stops_vms=step.stops_vms,
            )
            for step in steps
        ),
        update_conflicts=True, unique_fields=["budget", "percent"], update_fields=["notifies", "blocks_launches", "stops_vms"],
    )  # fmt: skip


def _told(value: Any) -> Any:
    """A changed column as an event's details hold it."""
    if isinstance(value, Decimal):
        return rating.told(value)
    return value if isinstance(value, bool | list) else str(value)


def _record(budget: Budget, action: str, by: Principal, now: datetime, details: Mapping[str, Any]) -> None:
    record(
        Happening(
            at=now, actor=by.label, action=action, resource="billing", resource_id=f"budget:{budget.pk}", details=details,
            owner_id=budget.user_id, project_id=budget.project_id, department_id=budget.audience_department_id,
        )
    )  # fmt: skip
