"""What several rooms know together, in a bounded number of queries however much there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict

from django.db.models import Count, Q, QuerySet

from accounts.models import Project, Quota, User, UserQuerySet
from accounts.principal import Principal
from billing.budgets.watch import zone
from billing.periods import Period, month_so_far
from billing.rating import day_of
from billing.reports import Filters, report
from billing.services import accounts, credits
from billing.sight import Sight, sight_of
from events.models import Event
from gamer.errors import NotFound
from vms import queries, quotas
from vms.lifecycle import Desired, Status
from vms.models import LIVE_PHASES, VM, VMQuerySet
from vms.quotas import Use

SHOWN_VMS, SHOWN_PROJECTS, SHOWN_EVENTS = 20, 20, 10


@dataclass(frozen=True, slots=True)
class Spend:
    """Hours and money, as billing counts them: the provider's for who may see cost, else what is charged."""

    hours: Decimal
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """A quota beside what is held of it."""

    quota: Quota
    used: Use


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All that a person's first page shows. `credit` is what the payer may still promise; None for who plays on account."""

    user: User
    vms_by_status: dict[Status, int]
    vms: Sequence[Any]
    held: Use
    this_month: Spend
    credit: Decimal | None
    projects: Sequence[Project]
    limits: Sequence[Limits]
    recent_events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class ProjectStats:
    """The numbers of one project."""

    project: Project
    vms_by_status: dict[Status, int]
    held: Use
    total: Spend
    this_month: Spend


@dataclass(frozen=True, slots=True)
class Profile:
    """A person as staff see them."""

    user: User
    vms_by_status: dict[Status, int]
    held: Use
    this_month: Spend
    suspended: Event | None


def dashboard(by: Principal, user: User, now: datetime) -> Dashboard:
    """A person's VMs, spend, projects and latest events."""
    mine = VM.objects.filter(owner=user)
    shown = queries.shown(for_staff=False).filter(owner=user).live().order_by("-created_at", "-id")
    held = Count("vms", filter=Q(vms__phase__in=LIVE_PHASES) & ~Q(vms__desired=Desired.GONE))
    projects = Project.objects.visible_to(Principal(user=user)).open().select_related("owner")
    return Dashboard(
        user=user,
        vms_by_status=queries.by_status(mine),
        vms=list(shown[:SHOWN_VMS]),
        held=_held("user", user.pk),
        this_month=_spent(by, Filters(user=user.pk), month_so_far(now, zone()), now),
        credit=_credit(by, user, now),
        projects=list(projects.annotate(live_vms=held).order_by("-id")[:SHOWN_PROJECTS]),
        limits=limits_over(user),
        recent_events=list(Event.objects.owned_by(user.pk).order_by("-id")[:SHOWN_EVENTS]),
    )


class ActivityFilters(TypedDict, total=False):
    """What a person's activity can be narrowed by."""

    action: str
    resource: str
    after: int


def activity(user: User, filters: ActivityFilters) -> QuerySet[Event]:
    """What happened to a person and to what is theirs, the newest first."""
    rows: QuerySet[Event] = Event.objects.owned_by(user.pk).after(filters.get("after", 0))
    for name in ("action", "resource"):
        if name in filters:
            rows = rows.filter(**{name: filters[name]})
    return rows.order_by("-id")


def project_stats(by: Principal, project: Project, now: datetime) -> ProjectStats:
    """A project's VMs by status, their hours and what they cost who asks.

    Of a person's own project a department's key knows what is the department's, and nothing from before they joined.
    """
    mine, whole, sight = VM.objects.filter(project=project), Filters(project=project.pk), None
    if by.key is not None and not by.is_staff and project.department_id != by.department_id:
        mine = VM.objects.visible_to(by).filter(project=project)
        if by.department_id is not None and by.key.speaks_for_others:
            sight = Sight(shows_cost=sight_of(by).shows_cost, department_id=by.department_id)
    month = month_so_far(now, zone())
    since = min(day_of(project.created_at, zone()), month.start)
    return ProjectStats(
        project,
        queries.by_status(mine),
        quotas.uses("project", [project.pk], of=mine).get(project.pk, Use()),
        _spent(by, whole, Period(since, month.end, zone()), now, sight),
        _spent(by, whole, month, now, sight),
    )


class PeopleFilters(TypedDict, total=False):
    """What the staff's list of people can be narrowed by. `q` is the beginning of a user_id or an address."""

    q: str
    department_id: int
    department_role: str
    role: str
    is_active: bool


def people(filters: PeopleFilters) -> UserQuerySet:
    """Everybody, the newest first."""
    rows = User.objects.get_queryset().select_related("department").order_by("-id")
    if "q" in filters:
        text = filters["q"]
        rows = rows.filter(Q(handle__startswith=text) | Q(email__startswith=text.lower()))
    if "role" in filters:
        rows = rows.filter(is_staff=filters["role"] == "staff")
    for name in ("department_id", "department_role", "is_active"):
        if name in filters:
            rows = rows.filter(**{name: filters[name]})
    return rows


def find_person(user_pk: str) -> User:
    """Anybody, for staff. Raises NotFound."""
    user = User.objects.get_queryset().select_related("department").filter(pk=user_pk).first()
    if user is None:
        raise NotFound("There is no such person.")
    return user


def profile(by: Principal, user: User, now: datetime) -> Profile:
    """A person with what they hold and, when suspended, since when and why."""
    mine = VM.objects.filter(owner=user)
    last = None
    if not user.is_active:
        about = Event.objects.owned_by(user.pk).filter(resource="users", action="suspend")
        last = about.order_by("-id").first()
    spend = _spent(by, Filters(user=user.pk), month_so_far(now, zone()), now)
    return Profile(user, queries.by_status(mine), _held("user", user.pk), spend, last)


def limits_over(user: User) -> list[Limits]:
    """The quotas a person's launches fall under outside of projects: their own, and their department's."""
    mine = Q(user=user)
    if user.department_id is not None:
        mine |= Q(department_id=user.department_id)
    found = Quota.objects.filter(mine).select_related("user", "project", "department")
    return with_use(list(found), Principal(user=user))


def with_use(rows: Sequence[Quota], by: Principal) -> list[Limits]:
    """Quotas beside what is held of them, of people and of their own projects what `by` may see; two queries for each kind at most."""
    ids: dict[tuple[str, bool], list[int]] = {}
    for quota in rows:
        ids.setdefault((quota.kind, _is_shared(quota, by)), []).append(quota.holder.pk)
    used: dict[tuple[str, int], Use] = {}
    for (kind, is_shared), pks in ids.items():
        seen: VMQuerySet = VM.objects.all() if is_shared else VM.objects.visible_to(by)
        if kind == "user":
            seen = quotas.within_theirs(seen)
        used |= {(kind, pk): use for pk, use in quotas.uses(kind, pks, of=seen).items()}
    return [Limits(quota, used.get((quota.kind, quota.holder.pk), Use())) for quota in rows]


def _is_shared(quota: Quota, by: Principal) -> bool:
    """Whether who may look at a limit knows all that is held of it: a department's, and a project's but a person's own by a key."""
    if quota.project is not None:
        return by.key is None or quota.project.department_id == by.department_id
    return quota.department_id is not None


def _held(kind: str, pk: int) -> Use:
    return quotas.uses(kind, [pk]).get(pk, Use())


def _spent(
    by: Principal, filters: Filters, period: Period, now: datetime, sight: Sight | None = None
) -> Spend:
    """What was used of something that they may look at, whoever of them used it, or what of it is in `sight`."""
    sight = sight or Sight(is_everything=True, shows_cost=sight_of(by).shows_cost)
    found = report(period=period, sight=sight, now=now, filters=filters, counts_vms=False).totals
    if sight.shows_cost:
        return Spend(found.provider_hours, found.cost_usd)
    return Spend(found.charged_hours, found.charge_usd)


def _credit(by: Principal, user: User, now: datetime) -> Decimal | None:
    """What is left to promise on the account that pays for them, where that is theirs to see."""
    payer = accounts.payer_of(user=user, project=None, department=user.department, now=now)
    if payer.is_postpaid or not credits.accounts_of(by, now).filter(pk=payer.pk).exists():
        return None
    return payer.available_usd
