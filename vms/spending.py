"""Where budgets meet VMs: what a crossed budget forbids is refused, what it ends is ended.

Billing knows no VM and calls nobody; the crossings are its rows, and we look at them: every launch does, and the reconciler
every quarter of a minute. Whatever a look did not get done, the next one finds still running.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from accounts.principal import policy
from billing.budgets import force, watch
from billing.models import Budget
from billing.models.budgets import Covers
from vms import endings, queries
from vms.lifecycle import Desired, Phase
from vms.models import VM, VMQuerySet
from vms.reconcile.liveness import SHOUT_AFTER

POLICY = policy("budgets")


def watch_budgets(now: datetime) -> None:
    """Looks at the budgets when it is time, and ends what runs under those that stop VMs."""
    if watch.look(now):
        enforce(now)


def enforce(now: datetime) -> int:
    """Ends what runs under a crossing that stops VMs; how many."""
    ended = 0
    for crossing in force.stopping(now):
        rows = covered(crossing.budget).filter(desired=Desired.RUNNING)
        rows = rows.select_related("attempt__account").defer(*queries.HEAVY).order_by("created_at")
        for vm in rows[: endings.AT_ONCE]:
            told = {"budget": crossing.budget.name, "percent": crossing.percent}
            ended += endings.end(vm=vm, by=POLICY, action="budget_stop", told=told, now=now)
    return ended


def covered(budget: Budget) -> VMQuerySet:
    """The live VMs whose money a budget watches."""
    within = Q() if budget.within_id is None else Q(department=budget.within_id)
    whose = {
        Covers.GLOBAL: Q(),
        Covers.PROVIDER: Q(attempt__account__kind=budget.provider),
        Covers.PROJECT: Q(project=budget.project_id),
        Covers.DEPARTMENT: Q(department=budget.department_id),
        Covers.USER: Q(owner=budget.user_id) & within,
    }
    return VM.objects.live().filter(whose[Covers(budget.covers)])


def unproven_deletes(now: datetime) -> tuple[int, Decimal]:
    """How many deletes have not been confirmed for long, and what their machines have cost so far: the front page's alarm."""
    late = VM.objects.filter(phase=Phase.DELETING, phase_since__lte=now - SHOUT_AFTER)
    ids = list(late.order_by("phase_since").values_list("pk", flat=True)[:1000])
    return len(ids), sum(queries.costs_of(ids, now).values(), Decimal(0))
