"""The fleet: every VM as one line, and the page that tells its whole story. Looked at, never edited."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.views import ChangeList

from gamer.web.admin import ReadOnlyAdmin
from vms import queries
from vms.admin import acts, moving, page, preview
from vms.admin.filters import AccountFilter, ConditionFilter, ProviderFilter, StatusFilter, found_by
from vms.admin.wording import COLOURS, NONE, ago, duration, kind_name, unbroken, usd
from vms.models import VM, VMQuerySet

UNSHOWN = (
    "ssh_private_key", "host_private_key", "agent_bootstrap", "ssh_public_key", "host_public_key", "agent_token_digest",
    "machine_raw", "attempt__offer", "attempt__account__credentials", "owner__password",
)  # fmt: skip
LONGEST_ERROR = 60


class FleetList(ChangeList):  # type: ignore[misc]
    """One page of VMs with what each has cost, in one further statement."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        now = timezone.now()
        costs = queries.costs_of([vm.pk for vm in self.result_list], now)
        for vm in self.result_list:
            vars(vm).update(cost_usd=costs.get(vm.pk, Decimal(0)), seen_at=now)


@admin.register(VM)
class VMAdmin(ReadOnlyAdmin):
    empty_hint = (
        "A player's launch makes one (POST /launch/game). What one would buy right now, and why nothing else, "
        "is told under “What would a launch pick?”."
    )
    list_display = (
        "state",
        "name_and_id",
        "console_name",
        "player",
        "provider",
        "city",
        "age",
        "cost",
        "trouble",
    )
    list_display_links = ("name_and_id",)
    list_filter = (StatusFilter, ConditionFilter, ProviderFilter, AccountFilter, "console")
    list_filter_sheet = False
    list_disable_select_all = True
    list_fullwidth = True
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("id",)
    search_help_text = "The beginning of a VM's id, an owner's name or address, a machine id or an IP address"
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> VMQuerySet:
        return VM.objects.select_related("owner", "console", "attempt__account").defer(*UNSHOWN)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return FleetList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return found_by(queryset, search_term), False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        context = partial(self._context, request)
        return {**acts.bulk_actions(request, context), **moving.bulk_action(request, context)}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [path("preview/", wrap(preview.placement_preview), name="vms_placement_preview")]
        own += [
            path(f"<uuid:vm_id>/{act.name}/", wrap(partial(self._act, act=act)), name=f"vms_vm_{act.name}")
            for act in acts.ACTS
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The VM's story; asked for again by the page itself while something is under way."""
        vm = self.get_object(request, object_id)
        if not self.has_view_permission(request, vm):
            raise PermissionDenied
        if vm is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        shown = {
            **self._context(request),
            **page.story_of(vm, timezone.now()),
            "acts": acts.offered(request, vm),
            "original": vm,
            "title": str(vm),
        }
        return TemplateResponse(request, "vms/vm.html", shown)

    def _act(self, request: HttpRequest, vm_id: Any, act: acts.Act) -> HttpResponse:
        vm = self.get_object(request, str(vm_id))
        if not self.has_view_permission(request, vm):
            raise PermissionDenied
        if vm is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(vm_id))  # type: ignore[no-any-return]
        context = {**self._context(request), "original": vm}
        return (
            moving.move_one(request, vm, context)
            if act is acts.MOVE
            else acts.act_on_one(request, vm, act, context)
        )

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}

    @display(description="Status", label=COLOURS)  # type: ignore[untyped-decorator]
    def state(self, vm: VM) -> str:
        return vm.status.value

    @admin.display(description="VM")
    def name_and_id(self, vm: VM) -> str:
        return unbroken(acts.name_of(vm))

    @admin.display(description="Console")
    def console_name(self, vm: VM) -> str:
        return format_html('<span title="{}">{}</span>', vm.console.display_name, vm.console_id)

    @admin.display(description="Owner")
    def player(self, vm: VM) -> str:
        return vm.owner.handle if vm.owner is not None else NONE

    @admin.display(description="Provider")
    def provider(self, vm: VM) -> str:
        if vm.attempt is None:
            return NONE
        account = vm.attempt.account
        return format_html('<span title="{}">{}</span>', kind_name(account.kind), account.name)

    @admin.display(description="City")
    def city(self, vm: VM) -> str:
        if vm.attempt is None or not vm.attempt.location_name:
            return NONE
        name = vm.attempt.location_name
        return format_html('<span title="{}">{}</span>', name, name.partition(",")[0])

    @admin.display(description="Age", ordering="created_at")
    def age(self, vm: VM) -> str:
        now = vars(vm)["seen_at"]
        if vm.ended_at is not None:
            return f"ended {ago(vm.ended_at, now)}"
        return unbroken(duration((now - vm.created_at).total_seconds()))

    @admin.display(description="Cost so far")
    def cost(self, vm: VM) -> str:
        return usd(vars(vm)["cost_usd"])

    @admin.display(description="Error")
    def trouble(self, vm: VM) -> str:
        if not vm.error_text:
            return vm.error or NONE
        text = vm.error_text
        short = text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR].rstrip()}…"
        return format_html('<span title="{}" style="display: block; min-width: 12rem">{}</span>', text, short)
