"""The installation's one page: the switch over all launches, and the word to delete unknown machines again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from emulators.admin import by
from gamer.web.admin import ReadOnlyAdmin
from vms import installation
from vms.models import Installation, Stray

STRAYS_SHOWN = 50
MESSAGES = {
    "stop": ("New launches are switched off. Existing machines go on.", "They were switched off already."),
    "allow": ("New launches are accepted again.", "They were accepted already."),
}


@admin.register(Installation)
class InstallationAdmin(ReadOnlyAdmin):
    """There is one row, so its list is its page."""

    def get_urls(self) -> list[URLPattern]:
        page = path("", self.admin_site.admin_view(self.page), name="vms_installation_changelist")
        return [page, *super().get_urls()[1:]]

    def page(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_change = request.user.has_perm("vms.change_installation")
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            self._carry_out(request, request.POST.get("act", ""))
            return HttpResponseRedirect(request.path)
        strays = Stray.objects.filter(gone_at=None, reason=Stray.Reason.UNKNOWN).select_related("account")
        shown: dict[str, Any] = {
            "row": installation.row(),
            "strays": strays.defer("account__credentials").order_by("first_seen_at")[:STRAYS_SHOWN],
            "strays_there": strays.count(),
            "may_change": may_change,
            "title": "Installation",
        }
        return TemplateResponse(
            request, "vms/installation.html", {**self.admin_site.each_context(request), **shown}
        )

    def _carry_out(self, request: HttpRequest, act: str) -> None:
        actor, now = by(request).label, timezone.now()
        if act == "sweep":
            installation.confirm_sweeps(actor=actor, now=now)
            messages.success(request, "Unknown machines are deleted again, a few at a time.")
        elif act in MESSAGES:
            changed = installation.allow_launches(is_launching=act == "allow", actor=actor, now=now)
            done, same = MESSAGES[act]
            (messages.success if changed else messages.warning)(request, done if changed else same)
