"""What the end of a membership ends with it: what the department set on the person. What the house set stays.

A budget and a quota of a person name the department that set them. Who set anything else is who wrote it last, as the events tell: no
other row names its author, and events are never deleted.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from accounts import quotas
from accounts.models import ApiKey, Department, Quota, Scope, User
from accounts.principal import policy
from billing.budgets import rows
from billing.models import Budget
from events.models import Event

MEMBERSHIP = policy("membership")


def release(*, person: User, department: Department, now: datetime) -> None:
    """Switches off the department's budgets of somebody who left, takes its limits away, and tells them of its spending no more.
    Call in the transaction of the end, after it, holding the department's row and the person's.
    """
    locked = Budget.objects.select_for_update(no_key=True, of=("self",)).order_by("id")
    for budget in locked.filter(user=person, within=department, is_active=True):
        rows.change(by=MEMBERSHIP, budget=budget, is_active=False, now=now)
    if person.email:
        of = Q(department=department) | Q(project__department=department) | Q(within=department)
        for budget in locked.filter(of, emails__icontains=person.email):
            others = [address for address in budget.emails if address.lower() != person.email]
            if len(others) < len(budget.emails) and _is_set_by(department, budget):
                rows.change(by=MEMBERSHIP, budget=budget, emails=others, now=now)
    quota = Quota.objects.filter(user=person, within=department).first()
    if quota is not None:
        quotas.lift(by=MEMBERSHIP, quota=quota, now=now)


def _is_set_by(department: Department, budget: Budget) -> bool:
    """Whether the last to write it was a person who is not of the staff, or a key that speaks for the department only."""
    writes = Event.objects.about("billing", f"budget:{budget.pk}").filter(action__in=("create", "update"))
    told = writes.exclude(actor=MEMBERSHIP.label).order_by("-id")
    actor = told.values_list("actor", flat=True).first() or ""
    kind, _, name = actor.partition(":")
    if kind == "user":
        return not User.objects.filter(handle=name, is_staff=True).exists()
    theirs = ApiKey.objects.filter(department=department).exclude(scopes__contains=[Scope.ADMIN])
    return kind == "key" and theirs.filter(prefix=name).exists()
