"""The page of a project: its VMs, numbers, limits, and its end."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.views import ChangeList

from accounts import projects
from accounts.models import Project
from accounts.principal import policy
from emulators.admin import by as principal_at
from gamer.web.admin import ServiceAdmin
from portal import queries, services
from portal.admin import acts
from portal.admin.acts import Act
from portal.admin.quotas import limits_words, to_limits
from vms.admin.fleet import UNSHOWN
from vms.lifecycle import Desired
from vms.models import VM, VMQuerySet

CLOSE = Act(
    "Close",
    "Nothing new starts in it, for ever. It is closed once nothing of it lives. Refused while VMs live, unless these end too.",
    "closing",
    lambda by, row, given, now: services.close_project(by=by, project=row, cascade=given["cascade"], now=now),
    form=acts.CascadeForm,
    is_dangerous=True,
    fits=lambda row: row.closing_at is None,
)
STATES = {"open": "success", "closing": "warning", "closed": "default"}


class NewProjectForm(forms.ModelForm):  # type: ignore[type-arg]
    for_department = forms.BooleanField(
        required=False, help_text="All people of the owner's department may launch in it."
    )

    class Meta:
        model = Project
        fields = ("name", "description", "owner")


class ProjectVms(acts.Shown):
    model = VM
    fields = readonly_fields = ("status", "console", "owner", "created_at")
    verbose_name_plural = "VMs"

    def get_queryset(self, request: HttpRequest) -> QuerySet[VM]:
        rows = VM.objects.select_related("owner", "console").defer(
            *(one for one in UNSHOWN if "attempt" not in one)
        )
        return rows.order_by("-created_at")

    def status(self, vm: VM) -> str:
        return vm.status.value


def held() -> VMQuerySet:
    """VMs that are neither over nor being ended."""
    return VM.objects.live().exclude(desired=Desired.GONE)


class ProjectList(ChangeList):  # type: ignore[misc]
    """One page of projects with their VMs counted, in one further statement."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown = list(self.result_list)
        rows = held().filter(project__in=shown).order_by()
        counts = dict(rows.values_list("project").annotate(Count("pk")))
        for project in shown:
            vars(project)["live"] = counts.get(project.pk, 0)


@admin.register(Project)
class ProjectAdmin(acts.Acting, ServiceAdmin):
    empty_hint = "VMs of a project are seen, counted and charged together. People make their own by the API (POST /projects)."
    list_display = ("name", "owner", "department", "label", "live_vms", "created_at")
    list_select_related = ("owner", "department")
    list_filter = ("department",)
    search_fields = ("name__istartswith",)
    autocomplete_fields = ("owner",)
    inlines = (ProjectVms,)
    readonly_fields = (
        *("owner", "department", "label", "numbers", "limits", "next_step"),
        *("created_at", "closing_at", "closed_at"),
    )
    actions_detail = ("close", "set_limits")
    fitting = {"close": CLOSE}
    ordering = ("-id",)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return ProjectList

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is not None else ()

    def get_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "description", "owner", "for_department")
        return ("name", "description", *self.readonly_fields)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is None:
            options["form"] = NewProjectForm
        return super().get_form(request, obj, change, **options)

    def get_inlines(self, request: HttpRequest, obj: Project | None) -> Any:
        return self.inlines if obj is not None else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a closed project explains the VMs it had

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        by, now, given = principal_at(request), timezone.now(), form.cleaned_data
        if change:
            texts = {name: given[name] for name in ("name", "description")}
            projects.change(by=by, project=obj, **texts, now=now)
            return
        obj.pk = projects.create(
            by=by,
            owner=given["owner"],
            name=given["name"],
            description=given["description"],
            for_department=given["for_department"],
            now=now,
        ).pk
        obj.refresh_from_db()

    @action(description=CLOSE.label, permissions=["administer"], icon="inventory_2", url_path="close")  # type: ignore[untyped-decorator]
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, CLOSE)

    @action(description="Set limits", permissions=["administer"], icon="speed", url_path="limits")  # type: ignore[untyped-decorator]
    def set_limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return to_limits(self, request, object_id)

    @display(description="State", label=STATES)  # type: ignore[untyped-decorator]
    def label(self, project: Project) -> str:
        return project.state

    @admin.display(description="VMs")
    def live_vms(self, project: Project) -> int:
        return int(vars(project)["live"])

    @admin.display(description="So far")
    def numbers(self, project: Project) -> str:
        stats = queries.project_stats(policy("admin"), project, timezone.now())
        ever, month = stats.total, stats.this_month
        return f"{ever.hours:.1f} machine hours, {ever.usd:.2f} USD; this month {month.hours:.1f} h, {month.usd:.2f} USD"

    @admin.display(description="Limits")
    def limits(self, project: Project) -> str:
        return limits_words(project)

    @admin.display(description="What next")
    def next_step(self, project: Project) -> str:
        if project.closed_at is not None:
            return "Nothing: it is closed, and kept for the record."
        if project.closing_at is not None:
            return "Nothing: it closes by itself once its machines are proven gone."
        if not held().filter(project=project).exists():
            return f'No VM yet: launch with "project_id": {project.pk}, or close it.'
        return "Its VMs are below."
