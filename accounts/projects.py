"""Projects: made, renamed, found. They are closed above, in `portal`, because closing ends VMs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from accounts import departments
from accounts.models import Project, User
from accounts.principal import Principal
from events.services import Happening, record
from gamer.errors import Conflict, NotFound, PermissionDenied, bad_field

MOST_PROJECTS = 100  # open ones of one person who is no staff
LAWS = ("project_name_in_department", "project_name_of_owner")


def find(by: Principal, project_id: int | str) -> Project:
    """One project. Raises NotFound for somebody else's."""
    rows = Project.objects.visible_to(by).select_related("owner", "department")
    project = rows.filter(pk=project_id).first()
    if project is None:
        raise NotFound("There is no such project.")
    return project


def demand_administration(by: Principal, project: Project) -> None:
    """Raises PermissionDenied for who neither made the project nor manages its department nor is staff."""
    if not Project.objects.administered_by(by).filter(pk=project.pk).exists():
        raise PermissionDenied("Only the project's creator and the department's managers do this.")


def create(
    *,
    by: Principal,
    owner: User | None,
    name: str,
    description: str = "",
    for_department: bool = False,
    now: datetime,
) -> Project:
    """A project of one's own or, `for_department`, one in which all the department's people may launch.

    Raises ValidationError without an owner or a department to be of, Conflict for a name that an open project has and for too many.
    """
    if owner is None:
        raise bad_field("user_id", "A project has an owner; a key names one.")
    try:
        with transaction.atomic():
            if owner.department_id is not None:
                departments.lock(owner.department_id)
            person = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
            if for_department and (
                person.department_id is None or person.department_id != owner.department_id
            ):
                raise bad_field("for_department", "The owner is of no department.")
            _demand_few(person)
            project = Project.objects.create(
                name=name,
                description=description,
                owner=person,
                department_id=person.department_id if for_department else None,
                created_at=now,
            )
            record(about(project, "create", by, now, name=name))
    except IntegrityError as error:
        raise _taken(error) from error
    return project


def _demand_few(person: User) -> None:
    """Under the person's lock: two at once would both be the last."""
    if not person.is_staff and Project.objects.open().filter(owner=person).count() >= MOST_PROJECTS:
        text = f"{person} has {MOST_PROJECTS} open projects; close one first."
        raise Conflict(text, details={"projects": [text]})


def change(
    *, by: Principal, project: Project, name: str | None = None, description: str | None = None, now: datetime
) -> Project:
    """Raises PermissionDenied, Conflict for a name that an open project has, and for a project that closes."""
    demand_administration(by, project)
    wanted = {"name": name, "description": description}
    try:
        with transaction.atomic():
            row = lock(project.pk)
            if row.closing_at is not None:
                raise Conflict(f"The project is {row.state}.")
            changes = {
                field: [getattr(row, field), value]
                for field, value in wanted.items()
                if value is not None and value != getattr(row, field)
            }
            for field, (_, value) in changes.items():
                setattr(row, field, value)
            if changes:
                row.save(update_fields=list(changes))
                record(about(row, "update", by, now, **changes))
    except IntegrityError as error:
        raise _taken(error) from error
    return row


def lock(project_id: int) -> Project:
    """The row until the end of the transaction."""
    row = Project.objects.select_for_update(no_key=True).filter(pk=project_id).first()
    if row is None:
        raise NotFound("There is no such project.")
    return row


def about(project: Project, action: str, by: Principal, now: datetime, **details: Any) -> Happening:
    """An event of a project, for its owner and its department's managers."""
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="projects",
        resource_id=str(project.pk),
        details=details,
        owner_id=project.owner_id,
        project_id=project.pk,
        department_id=project.department_id,
    )


def _taken(error: IntegrityError) -> Exception:
    if not any(law in str(error) for law in LAWS):
        return error
    return Conflict("name: There is an open project of this name.", details={"name": ["This name is taken."]})
