"""Limits per person, project and department: who sets whose. What they are held against is counted above, in `vms`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts import departments, projects
from accounts.models import Department, Project, Quota, User
from accounts.principal import Principal
from events.services import Happening, record
from gamer.errors import Conflict, NotFound, PermissionDenied, bad_field

LIMITS = ("max_vms", "max_gpu_vms", "max_usd_per_hour")
Holder = User | Project | Department
Limit = int | Decimal | None


def find(by: Principal, quota_id: int | str) -> Quota:
    """One quota. Raises NotFound for one that somebody may not know of."""
    rows = Quota.objects.visible_to(by).select_related(
        "user__department", "project__department", "department"
    )
    quota = rows.filter(pk=quota_id).first()
    if quota is None:
        raise _unknown()
    return quota


def of(holder: Holder) -> Quota | None:
    return Quota.objects.filter(**{_kind(holder): holder}).first()


def holder_named(
    by: Principal,
    *,
    user_id: str | None = None,
    project_id: int | None = None,
    department_id: int | None = None,
) -> Holder:
    """Whom a request names; exactly one. Raises ValidationError, the same for what is not there and for somebody else's."""
    given = {"user_id": user_id, "project_id": project_id, "department_id": department_id}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise bad_field(named[0] if named else "user_id", "One of user_id, project_id and department_id.")
    found: list[Any]
    if user_id is not None:
        people = User.objects.visible_to(by).select_related("department")
        found = list(people.filter(handle=user_id).order_by("id")[:2])
    elif project_id is not None:
        found = list(Project.objects.visible_to(by).select_related("department").filter(pk=project_id))
    else:
        assert department_id is not None
        found = list(Department.objects.visible_to(by).filter(pk=department_id))
    if not found:
        raise bad_field(named[0], f"Unknown {named[0].removesuffix('_id')}.")
    if len(found) > 1:
        raise Conflict("Several departments have a user of this name; set their quota in the admin.")
    holder: Holder = found[0]
    return holder


def department_of(holder: Holder) -> Department | None:
    """The department under whose limits somebody's own are."""
    return holder if isinstance(holder, Department) else holder.department


@transaction.atomic
def create(*, by: Principal, holder: Holder, now: datetime, **limits: Limit) -> Quota:
    """Limits of a person, a project or a department that has none yet. Raises as `change` does, and Conflict naming the quota."""
    _lock(holder)
    demand_may_set(by, holder)
    known = of(holder)
    if known is not None:
        raise Conflict(f"There is a quota already: {known.pk}.", details={"quota_id": [str(known.pk)]})
    return _write(by, holder, Quota(**{_kind(holder): holder}), limits, now)


@transaction.atomic
def change(*, by: Principal, quota: Quota, now: datetime, **limits: Limit) -> Quota:
    """Sets the limits that are named and leaves the others as they are by now; None lifts one. Lowering ends nothing that runs.

    Staff set all. Managers set those of their department's people and projects, never above the department's own; the
    department's are the staff's. What managers set on a person holds within their department. Raises PermissionDenied,
    ValidationError naming the limit, Conflict, and NotFound for what was taken away meanwhile.
    """
    holder = quota.holder
    _lock(holder)
    demand_may_set(by, holder)
    row = Quota.objects.filter(pk=quota.pk).first()
    if row is None:
        raise _unknown()
    return _write(by, holder, row, limits, now)


def _write(by: Principal, holder: Holder, row: Quota, limits: Mapping[str, Limit], now: datetime) -> Quota:
    if unknown := set(limits) - set(LIMITS):
        raise TypeError(f"a quota has no {', '.join(sorted(unknown))}")
    if not by.is_staff:
        _demand_within(holder, limits)
    is_new, changed = row.pk is None, {}
    for name, wanted in limits.items():
        if (old := getattr(row, name)) != wanted:
            changed[name] = [_plain(old), _plain(wanted)]
            setattr(row, name, wanted)
    if changed or is_new:
        # As 0064 has it, the limits are whose wrote last: managers' are of what is the department's, which is all that they see.
        row.within_id = by.managed_id if row.user_id is not None and not by.is_staff else None
        row.save()
        record(_about(holder, "quota", by, now, **changed))
    return row


def lift(*, by: Principal, quota: Quota, now: datetime) -> None:
    """Takes all limits away; safe to repeat. Raises PermissionDenied."""
    holder = quota.holder
    with transaction.atomic():
        _lock(holder)
        demand_may_set(by, holder)
        if Quota.objects.filter(pk=quota.pk).delete()[0]:
            record(_about(holder, "quota", by, now, **{n: [_plain(getattr(quota, n)), None] for n in LIMITS}))


def may_set(by: Principal, holder: Holder) -> bool:
    """Staff all; managers those of their department's projects and other people, for nobody raises their own."""
    if by.is_staff:
        return True
    if by.managed_id is None or isinstance(holder, Department) or holder.department_id != by.managed_id:
        return False
    return not isinstance(holder, User) or holder.pk != (by.user.pk if by.user else None)


def demand_may_set(by: Principal, holder: Holder) -> None:
    if not may_set(by, holder):
        raise PermissionDenied(
            "Staff set all limits; managers those of their department's people and projects."
        )


def _demand_within(holder: Holder, limits: Mapping[str, Any]) -> None:
    """A manager's limit stays below the department's own. None is no limit of one's own: the department's still holds."""
    department = department_of(holder)
    above = of(department) if department is not None else None
    for name, wanted in limits.items() if above is not None else ():
        most = getattr(above, name)
        if most is not None and wanted is not None and wanted > most:
            raise bad_field(name, f"The department's own limit is {_plain(most)}.")


def _lock(holder: Holder) -> None:
    """In the order of a launch: department, project, user."""
    department = department_of(holder)
    if department is not None:
        departments.lock(department.pk)
    if isinstance(holder, Project):
        projects.lock(holder.pk)
    if isinstance(holder, User):
        person = User.objects.select_for_update(no_key=True).get(pk=holder.pk)
        if person.department_id != holder.department_id:
            raise Conflict(f"{holder} changed department a moment ago. Try again.")


def _unknown() -> NotFound:
    return NotFound("There is no such quota.")


def _kind(holder: Holder) -> str:
    return type(holder).__name__.lower()


def _plain(value: Any) -> Any:
    """A limit as an event's details hold it."""
    return float(value) if isinstance(value, Decimal) else value


def _about(holder: Holder, action: str, by: Principal, now: datetime, **details: Any) -> Happening:
    if isinstance(holder, Project):
        return projects.about(holder, action, by, now, **details)
    if isinstance(holder, Department):
        return departments.about(holder, action, by, now, **details)
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="users",
        resource_id=holder.handle,
        details=details,
        owner_id=holder.pk,
        department_id=holder.department_id,
    )
