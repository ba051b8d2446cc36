"""What crossed budgets forbid and end. The rooms above ask at every launch and at every look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from billing.budgets.watch import zone
from billing.models import BudgetCrossing
from billing.models.budgets import Covers, CrossingQuerySet
from billing.rating import day_of


def _blocking(now: datetime) -> CrossingQuerySet:
    """What stops VMs refuses new ones, too: they would be stopped a moment later."""
    crossings = BudgetCrossing.objects.in_force(day_of(now, zone()))
    return crossings.that(blocks_launches=True) | crossings.that(stops_vms=True)


def blocking(
    *, owner_id: int | None, project_id: int | None, department_id: int | None, now: datetime
) -> BudgetCrossing | None:
    """What forbids a launch for these, if anything does; the widest first. Providers are left out: see `blocked_providers`."""
    concerned = Q(budget__covers=Covers.GLOBAL)
    for covers, key in (
        (Covers.PROJECT, project_id),
        (Covers.DEPARTMENT, department_id),
        (Covers.USER, owner_id),
    ):
        if key is not None:
            concerned |= Q(budget__covers=covers, **{f"budget__{covers}": key})
    found = (
        _blocking(now)
        .filter(concerned)
        .select_related("budget__project", "budget__department", "budget__user")
    )
    order = [Covers.GLOBAL, Covers.DEPARTMENT, Covers.PROJECT, Covers.USER]
    return min(found, key=lambda one: (order.index(Covers(one.budget.covers)), one.pk), default=None)


def blocked_providers(now: datetime) -> dict[str, str]:
    """The kinds of providers where nothing new is bought, with the budget's name."""
    of_providers = _blocking(now).filter(budget__covers=Covers.PROVIDER)
    return dict(of_providers.values_list("budget__provider", "budget__name"))


def stopping(now: datetime) -> Sequence[BudgetCrossing]:
    """The crossings that end what runs under them."""
    crossings = BudgetCrossing.objects.in_force(day_of(now, zone())).that(stops_vms=True)
    return list(crossings.select_related("budget").order_by("id"))
