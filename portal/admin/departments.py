"""The page of a department: its people and their roles, offers of a seat, projects, limits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action
from unfold.views import ChangeList

from accounts import departments, invitations
from accounts.models import Department, DepartmentRole, Invitation, InvitationQuerySet, Project, User
from emulators.admin import by as principal_at
from gamer.web.admin import ReadOnlyAdmin, ServiceAdmin
from portal import services
from portal.admin import acts
from portal.admin.acts import Act
from portal.admin.quotas import limits_words, to_limits

INVITE = Act(
    "Send an invitation",
    "They get a mail. They are of the department once they accept it with their own login; nobody is pulled in.",
    "the invitation is on its way",
    lambda by, row, given, now: invitations.invite(by=by, department=row, **given, now=now),
    form=acts.InviteForm,
)
ADD = Act(
    "Add a person",
    "Without asking them: for people who agreed on another way. The managers see and may end what they launch from then on.",
    "added",
    lambda by, row, given, now: departments.join(
        by=by, department=row, person=given["person"], role=given["role"], now=now
    ),
    form=acts.RoleForm,
)
ROLE = Act(
    "Change a role",
    "Managers see and steer all that is the department's. A new owner makes the one before a manager.",
    "the role is changed",
    lambda by, row, given, now: departments.set_role(
        by=by, department=row, member=given["person"], role=given["role"], now=now
    ),
    form=acts.RoleForm,
)
REMOVE = Act(
    "Remove a person",
    "Their projects of the department go over to its owner; their keys of it, and budgets and limits that it set on them, end. "
    "Refused while their VMs live, unless these end too.",
    "removed",
    lambda by, row, given, now: services.remove_member(
        by=by, department=row, member=given["person"], cascade=given["cascade"], now=now
    ),
    form=acts.PartForm,
    is_dangerous=True,
)
WITHDRAW = Act(
    "Withdraw",
    "The text in the mail is good for nothing from then on.",
    "withdrawn",
    lambda by, row, given, now: invitations.withdraw(by=by, invitation=row, now=now),
    fits=lambda row: row.withdrawn_at is None,
)


class Members(acts.Shown):
    model = User
    fk_name = "department"
    fields = readonly_fields = ("handle", "email", "department_role", "is_active")
    verbose_name_plural = "People"
    ordering = ("id",)


class Refusals:
    """The mixin of what shows invitations, with why the mail of one was refused for good."""

    def get_queryset(self, request: HttpRequest) -> InvitationQuerySet:
        rows: InvitationQuerySet = super().get_queryset(request)  # type: ignore[misc]
        return rows.with_refusals()

    @admin.display(description="Mail refused for good")
    def refusal(self, invitation: Any) -> str | None:
        return f"{invitation.refusal} Invite again to have it tried anew." if invitation.refusal else None


class Invitations(Refusals, acts.Shown):
    model = Invitation
    fields = readonly_fields = ("email", "role", "created_at", "expires_at", "mailed_at", "refusal")
    verbose_name_plural = "Invitations that wait"

    def get_queryset(self, request: HttpRequest) -> InvitationQuerySet:
        return super().get_queryset(request).pending()


class Projects(acts.Shown):
    model = Project
    fields = readonly_fields = ("name", "owner", "state", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        return Project.objects.select_related("owner")


class DepartmentList(ChangeList):  # type: ignore[misc]
    """One page of departments with their people and owners, in two further statements."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown = list(self.result_list)
        people = User.objects.filter(department__in=shown)
        counts = dict(people.order_by().values_list("department").annotate(Count("pk")))
        owners = {one.department_id: str(one) for one in people.filter(department_role=DepartmentRole.OWNER)}
        for department in shown:
            vars(department)["people"] = counts.get(department.pk, 0)
            vars(department)["owner"] = owners.get(department.pk, "nobody yet")


@admin.register(Department)
class DepartmentAdmin(acts.Acting, ServiceAdmin):
    empty_hint = "A department is a tenant: its people, projects and keys share an account, and its managers see all that is its own."
    list_display = ("name", "owner", "people", "created_at")
    search_fields = ("name__istartswith",)
    inlines = (Members, Invitations, Projects)
    readonly_fields = ("created_at", "limits", "next_step")
    # In one menu: side by side they push the page's name and the way back out of a usual window.
    actions_detail = (
        {
            "title": "People",
            "icon": "group",
            "items": ["invite", "add_person", "change_role", "remove_person"],
        },
        "set_limits",
    )

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return DepartmentList

    def get_fields(self, request: HttpRequest, obj: Department | None = None) -> tuple[str, ...]:
        return ("name",) if obj is None else ("name", "limits", "next_step", "created_at")

    def get_inlines(self, request: HttpRequest, obj: Department | None) -> Any:
        return self.inlines if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Department, form: Any, change: bool) -> None:
        by, now = principal_at(request), timezone.now()
        if change:
            departments.rename(by=by, department=obj, name=obj.name, now=now)
        else:
            obj.pk = departments.create(by=by, name=obj.name, now=now).pk
            obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Department) -> None:
        departments.delete(by=principal_at(request), department=obj, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Department]) -> None:
        for department in queryset:
            self.delete_model(request, department)

    @action(description=INVITE.label, permissions=["administer"], icon="mail", url_path="invite")  # type: ignore[untyped-decorator]
    def invite(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, INVITE)

    @action(
        description=ADD.label,
        permissions=["administer"],
        icon="person_add",
        url_path="add-person",
    )  # type: ignore[untyped-decorator]
    def add_person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, ADD)

    @action(description=ROLE.label, permissions=["administer"], icon="badge", url_path="role")  # type: ignore[untyped-decorator]
    def change_role(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, ROLE)

    @action(
        description=REMOVE.label,
        permissions=["administer"],
        icon="person_remove",
        url_path="remove-person",
    )  # type: ignore[untyped-decorator]
    def remove_person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, REMOVE)

    @action(description="Set limits", permissions=["administer"], icon="speed", url_path="limits")  # type: ignore[untyped-decorator]
    def set_limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return to_limits(self, request, object_id)

    @admin.display(description="People")
    def people(self, department: Department) -> int:
        return int(vars(department)["people"])

    @admin.display(description="Owner")
    def owner(self, department: Department) -> str:
        return str(vars(department)["owner"])

    @admin.display(description="Limits")
    def limits(self, department: Department) -> str:
        return limits_words(department)

    @admin.display(description="What next")
    def next_step(self, department: Department) -> str:
        if not department.users.exists():
            return "Nobody is of it yet: invite its owner-to-be, or add a person as its owner."
        if not department.users.filter(department_role=DepartmentRole.OWNER).exists():
            return "Nobody owns it: change somebody's role to owner, so that it can run itself."
        return "It runs itself: its owner and managers invite people and set their limits."


@admin.register(Invitation)
class InvitationAdmin(Refusals, acts.Acting, ReadOnlyAdmin):
    """Every offer ever made. Taken back by the action."""

    empty_hint = "One is sent from a department's page, under People."
    list_display = (
        "email",
        "department",
        "role",
        "created_at",
        "mailed_at",
        "refusal",
        "expires_at",
        "accepted_at",
        "withdrawn_at",
    )
    list_select_related = ("department",)
    search_fields = ("email__startswith",)
    fields = (*list_display, "inviter")
    actions_detail = ("withdraw",)
    fitting = {"withdraw": WITHDRAW}

    @action(description="Withdraw", permissions=["administer"], icon="undo", url_path="withdraw")  # type: ignore[untyped-decorator]
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, WITHDRAW)
