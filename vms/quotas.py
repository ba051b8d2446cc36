"""Who may hold how much at once: the rows a launch locks, what counts against a quota, and the refusal.

A launch locks department, project and user, in this order and in no other, and counts under these locks; the quotas are rows
of `accounts`. The account that pays comes last. Whoever else holds two of these rows took them in this order, too. The department is
locked only while it has a quota: a department may be a whole site with all its players.

What counts (docs/decisions/0023): every VM that is not over and that nobody has ended; for GPUs and dollars those of them that
are not stopped. A VM without a machine counts with what it was quoted, one with a machine with what was bought,
both at the customer's price.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, ExpressionWrapper, F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from accounts.models import Department, Project, ProjectQuerySet, Quota, User
from accounts.principal import Principal
from billing.models import Margin
from billing.services import prices
from gamer.errors import Conflict, PermissionDenied, bad_field
from vms.lifecycle import Desired, Phase
from vms.models import LIVE_PHASES, VM, VMQuerySet

HELD = Q(phase__in=LIVE_PHASES) & ~Q(desired=Desired.GONE)
RESTING = Q(phase=Phase.STOPPED, desired=Desired.STOPPED)
USD = DecimalField(max_digits=20, decimal_places=9)
# The column of a VM that says whose it is, by the kind of a quota.
COLUMNS = {"user": "owner", "project": "project", "department": "department"}


@dataclass(frozen=True, slots=True)
class Use:
    """How much is held, or asked for."""

    vms: int = 0
    gpu_vms: int = 0
    usd_per_hour: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose a VM will be, with the rows locked until the end of the transaction."""

    owner: User | None
    department_id: int | None
    projects: Mapping[int, Project] = field(default_factory=dict)
    quotas: Collection[Quota] = ()


def lock(*, by: Principal, owner: User | None, project_ids: Collection[int] = ()) -> Tenant:
    """Locks what a launch falls under. Call first in its transaction.

    Raises ValidationError for a project that is not there or not theirs, Conflict for who changed department meanwhile.
    """
    usable = Project.objects.visible_to(by)
    if owner is not None:
        theirs = Q(owner=owner)
        if owner.department_id is not None:
            theirs |= Q(department_id=owner.department_id)
        usable = Project.objects.filter(theirs)
    department_id = owner.department_id if owner is not None else by.department_id
    if owner is None and by.key is None:
        department_id = None  # staff or one of our own, for nobody: the project says whose it is
    if department_id is None and owner is None and project_ids:
        named = usable.filter(pk__in=project_ids).order_by("pk")
        department_id = named.values_list("department_id", flat=True).first()
    tenant = _locked(owner.pk if owner is not None else None, department_id, usable, project_ids)
    if len(tenant.projects) < len(set(project_ids)):
        raise bad_field("project_id", "Unknown project.")
    if tenant.owner is not None and tenant.owner.department_id != department_id:
        raise Conflict(f"{tenant.owner} changed department a moment ago. Try again.")
    return tenant


def lock_for(vm: VM) -> Tenant:
    """The same locks for a VM that is there, whoever acts on it."""
    project_ids = [] if vm.project_id is None else [vm.project_id]
    return _locked(vm.owner_id, vm.department_id, Project.objects.all(), project_ids)


def _locked(
    owner_id: int | None, department_id: int | None, projects: ProjectQuerySet, ids: Collection[int]
) -> Tenant:
    limited = Q(project__in=ids)
    for name, value in (("user_id", owner_id), ("department_id", department_id)):
        if value is not None:
            limited |= Q(**{name: value})
    keys = [(one.pk, one.department_id) for one in Quota.objects.filter(limited)]
    if department_id is not None and any(limited_id == department_id for _, limited_id in keys):
        Department.objects.select_for_update(no_key=True).get(pk=department_id)
    rows: Iterable[Project] = ()
    if ids:
        rows = projects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True, of=("self",))
    found = {project.pk: project for project in rows}
    owner = User.objects.select_for_update(no_key=True).get(pk=owner_id) if owner_id is not None else None
    # Read again under the locks: somebody may have changed them while we waited.
    again = Quota.objects.filter(pk__in=[pk for pk, _ in keys]).select_related(
        "user", "project", "department", "within"
    )
    return Tenant(owner, department_id, found, list(again) if keys else ())


def demand_room(tenant: Tenant, project_id: int | None, wanted: Use, *, without: VM | None = None) -> None:
    """Raises Conflict naming the first limit that `wanted` more would pass, and for a project that closes; PermissionDenied for
    a suspended owner.

    `without` leaves a VM out of the count, because `wanted` is all it will hold.
    """
    if tenant.owner is not None and not tenant.owner.is_active:
        raise PermissionDenied("This user is suspended.")
    project = tenant.projects[project_id] if project_id is not None else None
    if project is not None and project.closing_at is not None:
        raise Conflict(
            f"The project {project} is {project.state}; nothing new starts in it.",
            details={"project_id": [f"The project is {project.state}."]},
        )
    for quota in tenant.quotas:
        if _counts(quota, project_id, tenant.department_id):
            _demand(quota, _use_of(quota, without), wanted)


def has_room(vm: VM, wanted: Use) -> bool:
    """Whether a VM that was let in may hold `wanted` now. Locks as a launch does, so that it is still true when written."""
    quotas = [one for one in lock_for(vm).quotas if _counts(one, vm.project_id, vm.department_id)]
    return not any(_passed(quota, _use_of(quota, vm), wanted) for quota in quotas)


def fits_project(tenant: Tenant, vm: VM, project_id: int) -> None:
    """Refuses a move of `vm` as a launch would be refused; the limits that already hold it do not count again."""
    becomes = tenant.projects[project_id].department_id or vm.department_id
    newly = [
        quota
        for quota in tenant.quotas
        if _counts(quota, project_id, becomes) and not _counts(quota, vm.project_id, vm.department_id)
    ]
    if vm.is_terminal or vm.desired == Desired.GONE:
        wanted = Use()
    elif vm.phase == Phase.STOPPED and vm.desired == Desired.STOPPED:
        wanted = Use(1)
    else:
        wanted = use_of_vm(vm)
    demand_room(replace(tenant, department_id=becomes, quotas=newly), project_id, wanted, without=vm)


def uses(kind: str, ids: Iterable[int], *, of: VMQuerySet | None = None) -> dict[int, Use]:
    """What each of these people, projects or departments (`kind` as `Quota.kind`) holds now, of all VMs or some; one query."""
    column = f"{COLUMNS[kind]}_id"
    rows = VM.objects.get_queryset() if of is None else of
    return _uses(column, rows.filter(**{f"{column}__in": list(ids)}))


def use_of_vm(vm: VM) -> Use:
    """What a VM holds when it runs."""
    if vm.attempt is None:
        usd = prices.charge_of(vm.quoted_usd_per_hour or Decimal(0), vm.created_at)
        return Use(1, int(vm.quoted_gpus > 0), usd)
    return Use(1, int(vm.attempt.gpus > 0), vm.attempt.charge_usd_per_hour)


def within_theirs(rows: VMQuerySet) -> VMQuerySet:
    """Without what a manager's limits on a person do not count."""
    limits = "owner__quota__within"
    return rows.filter(Q(**{limits: None}) | Q(department=F(limits)))


def _counts(quota: Quota, project_id: int | None, department_id: int | None) -> bool:
    """Whether a quota counts a VM of this project and department, of all that it counts by its holder."""
    if quota.project_id is not None:
        return quota.project_id == project_id
    within = quota.department_id or quota.within_id
    return within is None or within == department_id


def _use_of(quota: Quota, without: VM | None) -> Use:
    column, holder = f"{COLUMNS[quota.kind]}_id", quota.holder
    rows = VM.objects.filter(**{column: holder.pk})
    if quota.within_id is not None:
        rows = rows.filter(department=quota.within_id)
    if without is not None:
        rows = rows.exclude(pk=without.pk)
    return _uses(column, rows).get(holder.pk, Use())


def _uses(column: str, rows: Any) -> dict[int, Use]:
    begun = Margin.objects.filter(starts_at__lte=OuterRef("created_at")).order_by("-starts_at")
    quoted = F("quoted_usd_per_hour") * (1 + Coalesce(Subquery(begun.values("share")[:1]), Decimal(0)))
    price = Coalesce(
        F("attempt__charge_usd_per_hour"),
        ExpressionWrapper(quoted, output_field=USD),
        Value(Decimal(0)),
        output_field=USD,
    )
    active = ~RESTING
    counted = (
        rows.filter(HELD)
        .alias(price=price, held_gpus=Coalesce(F("attempt__gpus"), F("quoted_gpus")))
        .order_by()
        .values(column)
        .annotate(
            vms=Count("pk"),
            gpu_vms=Count("pk", filter=active & Q(held_gpus__gt=0)),
            usd=Sum("price", filter=active),
        )
    )
    return {row[column]: Use(row["vms"], row["gpu_vms"], row["usd"] or Decimal(0)) for row in counted}


def _passed(quota: Quota, held: Use, wanted: Use) -> tuple[str, str] | None:
    """The first limit that would be passed: its name, and the sentence that says so."""
    whose = f"The {quota.kind} {quota.holder}" + (f" in {quota.within}" if quota.within is not None else "")
    most, after = quota.max_vms, held.vms + wanted.vms
    if most is not None and wanted.vms and after > most:
        return "max_vms", f"{whose} may have {most} VMs at once and has {held.vms}."
    most, after = quota.max_gpu_vms, held.gpu_vms + wanted.gpu_vms
    if most is not None and wanted.gpu_vms and after > most:
        return "max_gpu_vms", f"{whose} may have {most} VMs with a GPU at once and has {held.gpu_vms}."
    limit, spend = quota.max_usd_per_hour, held.usd_per_hour + wanted.usd_per_hour
    if limit is not None and wanted.usd_per_hour and spend > limit:
        return (
            "max_usd_per_hour",
            f"{whose} may spend {limit:.2f} USD an hour, spends {held.usd_per_hour:.2f}, "
            f"and this would add {wanted.usd_per_hour:.2f}.",
        )
    return None


def _demand(quota: Quota, held: Use, wanted: Use) -> None:
    passed = _passed(quota, held, wanted)
    if passed is not None:
        name, text = passed
        raise Conflict(text, details={name: [text]})
