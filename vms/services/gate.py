"""The one gate before anything begins to run and cost, and the law's refusal in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import IntegrityError

from accounts.models import User
from gamer.errors import Conflict
from vms import budgets, quotas
from vms.lifecycle import Desired
from vms.models import VM
from vms.quotas import Tenant, Use

LAW = "vm_one_live_per_owner_and_console"
CHANGED = "The player's VM of this console changed a moment ago. Try again."
LEFT = (
    "Its owner is no longer of the department that this VM was launched for. A new one is theirs to launch."
)


def admit(
    tenant: Tenant, project_id: int | None, wanted: Use, now: datetime, *, vm: VM | None = None
) -> None:
    """The one gate before anything begins to run and cost: a new VM, the start of a stopped one, a retry.

    Called inside the transaction that begins it, under the locks of `quotas.lock`. `vm` is the one that is there already.
    Raises Conflict for a limit that would be passed, a budget that is used up or a project that closes.
    """
    budgets.demand_money(tenant, project_id, now)
    quotas.demand_room(tenant, project_id, wanted, without=vm)


def admit_again(vm: VM, tenant: Tenant, wanted: Use, now: datetime) -> None:
    """The gate for a VM that is there, whose locks `quotas.lock_for` took. What was launched for a department runs at its
    expense, so it begins nothing more for who has left (docs/decisions/0021)."""
    vm.refresh_from_db(fields=["project", "department"])
    owner, payer = tenant.owner, vm.department_id
    if owner is not None and payer is not None and owner.department_id != payer:
        raise Conflict(LEFT)
    if vm.project_id is not None and vm.project_id not in tenant.projects:
        raise Conflict(CHANGED)
    # Whose it is, its own row says: a launch that goes on with it may be of one who has joined a department since.
    admit(replace(tenant, department_id=payer), vm.project_id, wanted, now, vm=vm)


def taken(error: IntegrityError, owner: User | None, console: str) -> Exception:
    """The law's refusal as the contract's 409; any other broken constraint stays what it is."""
    if LAW not in str(error) or owner is None:
        return error
    first = VM.objects.live().filter(owner=owner, console=console, desired=Desired.RUNNING).first()
    if first is None:
        return Conflict(CHANGED)
    return Conflict(
        f"The player already has a VM of this console: {first.pk}.", details={"vm_id": [str(first.pk)]}
    )
