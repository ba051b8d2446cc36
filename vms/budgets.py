"""What a budget that is used up refuses. Ending what runs is `spending.py`; providers over theirs are left out by `offers.py`."""

from __future__ import annotations

from datetime import datetime

from billing.budgets import force
from billing.budgets.notices import subject_of
from gamer.errors import Conflict
from vms.quotas import Tenant


def demand_money(tenant: Tenant, project_id: int | None, now: datetime) -> None:
    """Raises Conflict naming the budget that forbids this owner, project or department anything new."""
    crossing = force.blocking(
        owner_id=tenant.owner.pk if tenant.owner is not None else None,
        project_id=project_id,
        department_id=tenant.department_id,
        now=now,
    )
    if crossing is None:
        return
    budget = crossing.budget
    raise Conflict(
        f"The budget {budget.name} of {subject_of(budget)} is used up until the end of {crossing.period_end}.",
        details={"budget": [budget.name]},
    )
