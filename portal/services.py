"""Acts that several rooms take part in: closing a project, suspending a person, taking somebody out of a department.

Each is one transaction over the rows of both rooms, so that there is no half of it; what then takes time (machines are proven
gone) is found again by looking at the rows: `settle` ends what nobody may keep, whoever died before, and however often it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from accounts import departments, projects, suspensions
from accounts.models import Department, Project, User
from accounts.principal import Principal, policy
from events.services import record
from gamer.crash import crash_point
from gamer.errors import Conflict
from gamer.queue import schedules
from portal import parting
from vms import services as vms
from vms.lifecycle import Desired
from vms.models import LIVE_PHASES, VM, VMQuerySet

NAMED = 5  # VMs that a refusal names

# Whose VMs nobody may keep: suspended people's, and what their own keys made for nobody.
SUSPENDED = Q(owner__is_active=False) | Q(
    owner=None, made_by__maker__is_active=False, made_by__maker__is_staff=False
)
CLOSING = Q(project__closing_at__isnull=False, project__closed_at=None)


def close_project(*, by: Principal, project: Project, cascade: bool = False, now: datetime) -> Project:
    """Closes a project for ever: nothing new starts in it from now on, and it is closed once nothing lives. Safe to repeat.

    Raises PermissionDenied, Conflict while VMs live that nobody has ended, unless `cascade` ends them: those `by` may see.
    """
    projects.demand_administration(by, project)
    with transaction.atomic():
        row = projects.lock(project.pk)
        if row.closing_at is None:
            _demand_seen(row, by)
            _demand_idle(VM.objects.filter(project=row), cascade, f"The project {row}")
            row.closing_at = now
            row.save(update_fields=["closing_at"])
            record(projects.about(row, "delete", by, now, name=row.name, cascade=cascade))
        crash_point("project.marked")
        vms.destroy_all(vms=VM.objects.filter(project=row), by=by, now=now)
        _finish(row, by, now)
    crash_point("project.closing")
    return row


def suspend(*, by: Principal, user: User, reason: str, now: datetime) -> None:
    """Ends a person's logins and keys and all their VMs; safe to repeat. Raises as `accounts.suspensions.suspend`."""
    with transaction.atomic():
        suspensions.suspend(by=by, user=user, reason=reason, now=now)
        crash_point("suspend.marked")
        vms.destroy_all(vms=_of_suspended().filter(_of(user)), by=by, now=now)


def reinstate(*, by: Principal, user: User, now: datetime) -> None:
    """Lets a person in again; their VMs stay ended. Raises as `accounts.suspensions.reinstate`."""
    suspensions.reinstate(by=by, user=user, now=now)


def remove_member(
    *, by: Principal, department: Department, member: User, cascade: bool = False, now: datetime
) -> None:
    """Ends a membership, by oneself or by who may, and what the department set on the person. What was launched for the
    department stays in its history.

    Raises PermissionDenied, Conflict while their VMs of the department live that nobody has ended, unless `cascade` ends them.
    """
    with transaction.atomic():
        person = departments.part(by=by, department=department, member=member, now=now)
        parting.release(person=person, department=department, now=now)
        theirs = VM.objects.filter(owner=member, department=department)
        _demand_idle(theirs, cascade, member.handle)
        vms.destroy_all(vms=theirs, by=by, now=now)


@dataclass(frozen=True, slots=True)
class Settled:
    """What one pass did."""

    ended: int = 0
    closed: int = 0


def settle(now: datetime) -> Settled:
    """Ends the VMs of suspended people and closing projects, and closes the projects of which nothing lives any more."""
    ended = vms.destroy_all(vms=_of_suspended(), by=policy("suspension"), now=now)
    crash_point("settle.suspended")
    ended += vms.destroy_all(vms=VM.objects.filter(CLOSING), by=policy("closing"), now=now)
    crash_point("settle.ended")
    living = VM.objects.filter(project=OuterRef("pk"), phase__in=LIVE_PHASES)
    done = Project.objects.filter(~Exists(living), closing_at__isnull=False, closed_at=None)
    closed = 0
    for pk in list(done.values_list("pk", flat=True)):
        with transaction.atomic():
            closed += _finish(projects.lock(pk), policy("closing"), now)
        crash_point("settle.closed")
    return Settled(ended, closed)


def seed(now: datetime) -> None:
    """Keeps `settle` running. Safe to repeat."""
    schedules.keep("end what nobody may keep", "portal.tasks.settle", minutes=1)


def _of_suspended() -> VMQuerySet:
    return VM.objects.filter(SUSPENDED)


def _of(user: User) -> Q:
    return Q(owner=user) | Q(owner=None, made_by__maker=user)


def _wanted(rows: VMQuerySet) -> VMQuerySet:
    return rows.live().exclude(desired=Desired.GONE)


def _demand_idle(rows: VMQuerySet, cascade: bool, whose: str) -> None:
    if cascade:
        return
    ids = [str(pk) for pk in _wanted(rows).order_by("-created_at").values_list("pk", flat=True)[: NAMED + 1]]
    if ids:
        more = " and more" if len(ids) > NAMED else ""
        raise Conflict(
            f"{whose} still has VMs: {', '.join(ids[:NAMED])}{more}. End them first, or ask for cascade=terminate.",
            details={"vm_id": ids[:NAMED]},
        )


def _demand_seen(project: Project, by: Principal) -> None:
    """Raises Conflict while what a member launched before they joined runs in a project of theirs that a department's key closes."""
    wanted = _wanted(VM.objects.filter(project=project))
    if wanted.visible_to(by).count() < wanted.count():
        raise Conflict(
            f"The project {project} has VMs that are not of this key's department. Its creator closes it."
        )


def _finish(project: Project, by: Principal, now: datetime) -> bool:
    """Sets `closed_at` once nothing lives; under the project's lock, so that nothing new can."""
    if project.closed_at is not None or VM.objects.filter(project=project).live().exists():
        return False
    project.closed_at = now
    project.save(update_fields=["closed_at"])
    record(projects.about(project, "closed", by, now, name=project.name))
    return True
