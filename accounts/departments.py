"""Departments and who is what in them. Whoever changes a membership holds the department's row, then the person's; between them those of
projects that change hands, as launches lock them (`vms/quotas.py`).

What a member leaves behind on machines is asked above, in `portal`: this room knows no VM.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts import keys
from accounts.models import (
    MANAGING,
    ApiKey,
    Department,
    DepartmentRole,
    Invitation,
    InvitationQuerySet,
    Project,
    User,
)
from accounts.principal import Principal
from events.services import Happening, record
from gamer.errors import Conflict, NotFound, PermissionDenied, bad_field

NAMED = 8  # of what keeps a department from being deleted


def find(by: Principal, department_id: int | str) -> Department:
    """One department. Raises NotFound for somebody else's."""
    department = Department.objects.visible_to(by).filter(pk=department_id).first()
    if department is None:
        raise NotFound("There is no such department.")
    return department


def find_member(by: Principal, department: Department, handle: str) -> User:
    """One of a department's people, as far as one may know of them. Raises NotFound."""
    people = User.objects.visible_to(by).filter(department=department, handle=handle)
    member = people.select_related("department").first()
    if member is None:
        raise NotFound("There is no such person in this department.")
    return member


def demand_administration(by: Principal, department: Department) -> None:
    """Raises PermissionDenied for who neither manages the department nor is staff."""
    if not Department.objects.administered_by(by).filter(pk=department.pk).exists():
        raise PermissionDenied("Only the department's managers and owner do this.")


def demand_ownership(by: Principal, department: Department) -> None:
    """Raises PermissionDenied for who neither owns the department nor is staff."""
    is_owner = by.managed_id == department.pk and _role(by) == DepartmentRole.OWNER
    if not by.is_staff and not is_owner:
        raise PermissionDenied("Only the department's owner does this.")


def create(*, by: Principal, name: str, now: datetime) -> Department:
    """A department without people; its owner comes by invitation or from the admin. Raises PermissionDenied, Conflict."""
    if not by.is_staff:
        raise PermissionDenied("Only staff make departments.")
    try:
        with transaction.atomic():
            department = Department.objects.create(name=name, created_at=now)
            record(about(department, "create", by, now, name=name))
    except IntegrityError as error:
        raise _taken(error) from error
    return department


def rename(*, by: Principal, department: Department, name: str, now: datetime) -> Department:
    """Raises PermissionDenied, Conflict."""
    try:
        with transaction.atomic():
            row = lock(department.pk)
            demand_administration(afresh(by), row)
            if row.name != name:
                record(about(row, "update", by, now, name=[row.name, name]))
                row.name = name
                row.save(update_fields=["name"])
    except IntegrityError as error:
        raise _taken(error) from error
    return row


def delete(*, by: Principal, department: Department, now: datetime) -> None:
    """Raises PermissionDenied for all but staff, Conflict while anything is or was the department's."""
    if not by.is_staff:
        raise PermissionDenied("Only staff delete departments.")
    with transaction.atomic():
        row = lock(department.pk, for_deletion=True)
        for noun, rows in (("people", row.users.all()), ("projects", row.projects.all())):
            names = [str(one) for one in rows[: NAMED + 1]]
            if names:
                more = " and more" if len(names) > NAMED else ""
                raise Conflict(f"{row} still has {noun}: {', '.join(names[:NAMED])}{more}.")
        record(about(row, "delete", by, now, name=row.name))
        try:
            row.delete()
        except ProtectedError as error:
            kinds = {str(one._meta.verbose_name_plural) for one in error.protected_objects}
            raise Conflict(f"{row} has a history: {', '.join(sorted(kinds))}.") from None


def set_role(*, by: Principal, department: Department, member: User, role: str, now: datetime) -> User:
    """Makes somebody a member, a manager or, by handing the department over, its owner: the one before becomes a manager.

    Only the owner and staff make and unmake managers. Raises PermissionDenied, Conflict (no longer of the department).
    """
    if role not in DepartmentRole.values:
        raise bad_field("role", f"One of {', '.join(DepartmentRole.values)}.")
    with transaction.atomic():
        row = lock(department.pk)
        demand_ownership(afresh(by), row)
        person = _locked_member(row, member)
        before = person.department_role
        if before == role:
            return person
        if before == DepartmentRole.OWNER and not by.is_staff:
            raise Conflict("Hand the department over to somebody else instead.")
        if role == DepartmentRole.OWNER:
            _demand_login(person)
            # First the old one steps back: the index allows one owner at every moment.
            for old in row.users.filter(department_role=DepartmentRole.OWNER).select_for_update(no_key=True):
                _write_role(row, old, DepartmentRole.MANAGER, by, now)
        elif role == DepartmentRole.MANAGER:
            _demand_login(person)
        _write_role(row, person, role, by, now)
    return person


def join(*, by: Principal, department: Department, person: User, role: str, now: datetime) -> User:
    """Makes somebody of no department one of this one's. Raises Conflict. Call with the person's consent, or as staff."""
    with transaction.atomic():
        row = lock(department.pk)
        user = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        if user.department_id is not None:
            raise Conflict("A person is of one department: leave the other one first.")
        if role == DepartmentRole.OWNER and row.users.filter(department_role=role).exists():
            raise Conflict(f"{row} has an owner already.")
        user.department, user.department_role = row, role
        _save(user, f"{row} already has somebody of this user_id.")
        record(_about_member(row, user, "join", by, now, role=role))
    return user


def part(*, by: Principal, department: Department, member: User, now: datetime) -> User:
    """Ends a membership: by oneself, by a manager for members, by the owner for managers, by staff for all.

    What they made for the department stays with it: their projects of it go over to its owner, their keys of it end. Raises
    PermissionDenied, Conflict. The caller has looked at their VMs under the same locks (`portal.services.remove_member`).
    """
    with transaction.atomic():
        row = lock(department.pk)
        left = Project.objects.filter(owner=member, department=row)
        # Before the person, as a launch in one of them does: it would wait for us as we for it.
        has_left = bool(left.order_by("pk").select_for_update(no_key=True).values_list("pk"))
        person = _locked_member(row, member)
        _demand_may_part(afresh(by), row, person)
        person.department, person.department_role = None, ""
        _save(person, "Somebody outside has the same user_id already.")
        heir = _heir(row) if has_left else None
        if heir is not None:
            left.update(owner=heir)
        for key in ApiKey.objects.filter(maker=person, department=row, revoked_at=None):
            keys.revoke(by=by, key=key, now=now)
        record(_about_member(row, person, "leave", by, now))
    return person


def lock(department_id: int, *, for_deletion: bool = False) -> Department:
    """The row until the end of the transaction. Not FOR UPDATE, unless it goes: what only points at it need not wait."""
    rows = Department.objects.select_for_update(no_key=not for_deletion)
    row = rows.filter(pk=department_id).first()
    if row is None:
        raise NotFound("There is no such department.")
    return row


def afresh(by: Principal) -> Principal:
    """The same principal with what they are now: a role may have ended since the request began. Ask under the lock."""
    if by.user is None or by.key is not None:
        return by
    return Principal(user=User.objects.get(pk=by.user.pk))


def about(department: Department, action: str, by: Principal, now: datetime, **details: Any) -> Happening:
    """An event of a department, for its managers."""
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="departments",
        resource_id=str(department.pk),
        details=details,
        department_id=department.pk,
    )


def _about_member(
    department: Department, member: User, action: str, by: Principal, now: datetime, **details: Any
) -> Happening:
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="departments",
        resource_id=str(department.pk),
        details={"user_id": member.handle, "name": department.name, **details},
        owner_id=member.pk,
        department_id=department.pk,
    )


def _heir(department: Department) -> User:
    """Who takes over what a leaving member made for the department: its owner, else a manager."""
    managing = department.users.filter(department_role__in=MANAGING).order_by("id")
    heir = managing.filter(department_role=DepartmentRole.OWNER).first() or managing.first()
    if heir is None:
        raise Conflict("Nobody is there to take over their projects of the department: name an owner first.")
    return heir


def _role(by: Principal) -> str:
    return by.user.department_role if by.user is not None and by.key is None else ""


def _locked_member(department: Department, member: User) -> User:
    person = User.objects.select_for_update(no_key=True).get(pk=member.pk)
    if person.department_id != department.pk:
        raise Conflict(f"{member} is no longer of {department}.")
    return person


def _demand_login(person: User) -> None:
    if person.email is None:
        raise Conflict(f"{person} was named by a key and has no login to manage anything with.")


def _demand_may_part(by: Principal, department: Department, person: User) -> None:
    if person.email is None:
        raise Conflict(f"{person} was named by a key of the department and is nobody without it.")
    is_self = by.key is None and by.user is not None and by.user.pk == person.pk
    if person.department_role == DepartmentRole.OWNER and not by.is_staff:
        raise Conflict("The owner hands the department over first.")
    if is_self:
        return
    if person.department_role in MANAGING:
        demand_ownership(by, department)
    else:
        demand_administration(by, department)


def _write_role(department: Department, person: User, role: str, by: Principal, now: datetime) -> None:
    before, person.department_role = person.department_role, role
    person.save(update_fields=["department_role"])
    record(_about_member(department, person, "role", by, now, role=[before, role]))


def _save(person: User, refusal: str) -> None:
    try:
        with transaction.atomic():
            person.save(update_fields=["department", "department_role"])
    except IntegrityError as error:
        if "user_handle_in_department" not in str(error):
            raise
        raise Conflict(refusal) from error


def _taken(error: IntegrityError) -> Exception:
    if "accounts_department_name" not in str(error):
        return error
    return Conflict("name: There is a department of this name.", details={"name": ["This name is taken."]})


def pending_invitations(department: Department) -> InvitationQuerySet:
    """The department's open offers, the newest first."""
    offers = Invitation.objects.pending().with_refusals()
    return offers.filter(department=department).select_related("inviter")
