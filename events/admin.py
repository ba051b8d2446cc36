"""The audit, to look at and to take along, and the messages that went out: nobody edits what happened."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from events import timeline
from events.models import Delivery, Event, EventQuerySet
from events.services import Happening, record
from gamer.web.admin import ReadOnlyAdmin
from gamer.web.streaming import streamed


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    empty_hint = "Whatever happens is recorded here, with who did it."
    list_display = ("when", "actor", "action", "resource", "resource_id", "told", "ip")
    list_display_links = ("when",)
    list_filter = timeline.FILTERS
    list_filter_submit = True
    search_fields = ("resource_id__startswith", "actor__startswith")
    search_help_text = "The beginning of an id or of an actor, like user:alice"
    ordering = ("-id",)
    sortable_by = ()  # but by time, nothing has an index
    show_facets = admin.ShowFacets.NEVER
    fields = (
        "when",
        "actor",
        ("ip", "request_id"),
        "action",
        ("resource", "resource_id"),
        "differences",
        "details",
    )

    def get_queryset(self, request: HttpRequest) -> EventQuerySet:
        return Event.timeline.order_by("-id")

    def get_urls(self) -> list[URLPattern]:
        export = path("export/", self.admin_site.admin_view(self.export), name="events_event_export")
        return [export, *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """What the list would show with the same filters, as CSV in one stream. Itself an event, before the first row leaves."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        now = timezone.now()
        rows = self.get_changelist_instance(request).get_queryset(request)
        asked = {
            name: text[:200]
            for name, text in request.GET.items()
            if text and name in (*timeline.PARAMETERS, "q")
        }
        record(Happening(now, f"user:{request.user}", "export", "events", "export", {"filters": asked}))
        name = f"events-{now:%Y%m%d-%H%M%S}.csv"
        return streamed(request, timeline.as_csv(rows), content_type="text/csv; charset=utf-8", filename=name)

    @admin.display(description="at (UTC)")
    def when(self, event: Event) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="details")
    def told(self, event: Event) -> str:
        return timeline.words_of(event)

    @admin.display(description="before and after")
    def differences(self, event: Event) -> Any:
        changes = timeline.changes_of(event)
        if not changes:
            return "–"
        lines = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", changes)
        head = "<table><tr><th>Field</th><th>Before</th><th>After</th></tr>{}</table>"
        return format_html(head, lines)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    empty_hint = (
        "A message goes out when a budget is crossed or credit runs low, to "
        "the addresses of the budget or the account's people."
    )
    list_display = (
        "when",
        "channel",
        "target",
        "subject",
        "attempts",
        "next_try_at",
        "delivered_at",
        "given_up_at",
        "last_error",
    )
    list_filter = ("channel",)
    search_fields = ("target__startswith",)
    search_help_text = "The beginning of an address"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        ("channel", "target"), "subject", "text", ("created_at", "attempts", "next_try_at"), ("delivered_at", "given_up_at"),
        "last_error",
    )  # fmt: skip

    @admin.display(description="at (UTC)")
    def when(self, delivery: Delivery) -> str:
        return f"{delivery.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display
    def subject(self, delivery: Delivery) -> str:
        return str(delivery.payload.get("subject", ""))

    @admin.display
    def text(self, delivery: Delivery) -> str:
        return str(delivery.payload.get("text", ""))
