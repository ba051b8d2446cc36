"""What crossed budgets forbid and end. The rooms above ask at every launch and at every look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing.budgets.watch import zone
from billing.models import BudgetCrossing
from billing.models.budgets import Covers
from billing.rating import day_of
from gamer import prepared

# Crossings in force whose threshold, as it is now, does something. Asked by every launch, and almost always answered by no row.
IN_FORCE = """
    SELECT crossing.id, budget.covers, budget.provider, budget.name
      FROM billing_budgetcrossing crossing JOIN billing_budget budget ON budget.id = crossing.budget_id
     WHERE crossing.lifted_at IS NULL AND %(today)s::date BETWEEN crossing.period_start AND crossing.period_end AND budget.is_active
       AND EXISTS (SELECT FROM billing_threshold threshold
                    WHERE threshold.budget_id = budget.id AND threshold.percent = crossing.percent AND ({does}))
       AND ({whom})
     ORDER BY crossing.id
"""
# What stops VMs refuses new ones, too: they would be stopped a moment later.
BLOCKS, STOPS = "threshold.blocks_launches OR threshold.stops_vms", "threshold.stops_vms"
WHOSE = (
    "budget.covers = 'global' OR budget.project_id = %(project)s::bigint OR budget.department_id = %(department)s::bigint"
    " OR budget.user_id = %(owner)s::bigint AND (budget.within_id IS NULL OR budget.within_id = %(department)s::bigint)"
)
BLOCKING = IN_FORCE.format(does=BLOCKS, whom=WHOSE)
BLOCKED_PROVIDERS = IN_FORCE.format(does=BLOCKS, whom="budget.covers = 'provider'")
STOPPING = IN_FORCE.format(does=STOPS, whom="true")
WIDEST_FIRST = (Covers.GLOBAL, Covers.DEPARTMENT, Covers.PROJECT, Covers.USER)


def blocking(
    *, owner_id: int | None, project_id: int | None, department_id: int | None, now: datetime
) -> BudgetCrossing | None:
    """What forbids a launch for these, if anything does; the widest first. Providers are left out: see `blocked_providers`."""
    whose = {"owner": owner_id, "project": project_id, "department": department_id}
    found = prepared.rows(BLOCKING, {"today": day_of(now, zone()), **whose})
    if not found:
        return None
    first = min(found, key=lambda row: WIDEST_FIRST.index(Covers(row[1])))[0]
    return BudgetCrossing.objects.select_related("budget__project", "budget__department", "budget__user").get(
        pk=first
    )


def blocked_providers(now: datetime) -> dict[str, str]:
    """The kinds of providers where nothing new is bought, with the budget's name."""
    found = prepared.rows(BLOCKED_PROVIDERS, {"today": day_of(now, zone())})
    return {provider: name for _, _, provider, name in found}


def stopping(now: datetime) -> Sequence[BudgetCrossing]:
    """The crossings that end what runs under them."""
    found = [row[0] for row in prepared.rows(STOPPING, {"today": day_of(now, zone())})]
    return list(BudgetCrossing.objects.filter(pk__in=found).select_related("budget").order_by("id"))
