"""The admin's door: what staff save, delete or run there leaves an Event, in the transaction of the change.

`audit(site)` puts `Audited` in front of every registered page, ours and libraries', so that nobody has to remember. A page
whose writes are calls of a service says so by `records_itself`, and its service records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from events.history import subject_of
from events.services import Happening, record_many
from gamer.web.confirming import is_only_asking, ticked

# Rows without a history of their own, by app.
RESOURCES = {
    "locations": "locations",
    "django_q": "schedules",
    "accounts": "users",
    "axes": "users",
    "billing": "billing",
}
MOST_NAMED = 50


class Audited:
    """A ModelAdmin's mixin, first in its bases. Django tells it of every addition, change and deletion, in bulk too."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._note(request, "create", [obj])
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._note(request, "update", [obj], **_fields(message))
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        self._note(request, "delete", queryset)
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def response_action(self, request: HttpRequest, queryset: Any) -> Any:
        # A forged form may name several: which one is run is Django's to say, so none of them is passed over.
        names = request.POST.getlist("action")
        ran = ", ".join(names)[:60]
        queryset = ticked(self, request, queryset)
        is_left = "action" in _own_records(self) or set(names) <= {"", "delete_selected"}
        if is_left or is_only_asking(self, request):
            return super().response_action(request, queryset)  # type: ignore[misc]
        with transaction.atomic():
            if request.POST.get("select_across") != "1":
                self._note(request, "action_run", queryset[:MOST_NAMED], ran=ran)
            else:
                self._note(request, "action_run", queryset[:MOST_NAMED], ran=ran, of=queryset.count())
            return super().response_action(request, queryset)  # type: ignore[misc]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """A page's History: its part of the timeline, with the rows' before and after."""
        row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if row is None or not request.user.has_perm("events.view_event"):
            return super().history_view(request, object_id, extra_context)  # type: ignore[misc]
        if not self.has_view_or_change_permission(request, row):  # type: ignore[attr-defined]
            raise PermissionDenied
        resource, subject = _subject(row)
        asked = urlencode({"resource": resource, "subject": subject})
        return HttpResponseRedirect(f"{reverse('admin:events_event_changelist')}?{asked}")

    def _note(self, request: HttpRequest, action: str, rows: Iterable[models.Model], **told: Any) -> None:
        if action in _own_records(self):
            return
        now = timezone.now()
        record_many(
            Happening(now, f"user:{request.user}", action, *_subject(row), details={**_named(row), **told})
            for row in rows
        )


def _own_records(page: Any) -> frozenset[str]:
    """What a page of ours leaves to services (`gamer.web.admin`); a library's leaves nothing."""
    own: frozenset[str] = getattr(page, "records_itself", frozenset())
    return own


def _subject(row: models.Model) -> tuple[str, str]:
    kept = subject_of(row)
    if kept is not None:
        return kept
    opts = row._meta
    return RESOURCES.get(opts.app_label, "installation"), f"{opts.model_name}:{row.pk}"[:64]


def _named(row: models.Model) -> dict[str, Any]:
    return {"kind": str(row._meta.verbose_name), "name": str(row)[:200]}


def _fields(said: Any) -> dict[str, Any]:
    """Which fields Django says were changed; their values are in the history."""
    if isinstance(said, str):
        return {"what": said} if said else {}
    names: list[str] = []
    for part in said or []:
        names += part.get("changed", {}).get("fields", [])
    return {"fields": names} if names else {}


def audit(site: AdminSite) -> None:
    """Call once every app has registered its pages. Safe to repeat."""
    for model, page in list(site._registry.items()):
        kind = type(page)
        if not issubclass(kind, Audited):
            site.unregister(model)
            site.register(model, type(kind.__name__, (Audited, kind), {"__module__": kind.__module__}))
