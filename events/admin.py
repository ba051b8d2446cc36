"""The audit, to look at: nobody edits what happened."""

from __future__ import annotations

from django.contrib import admin

from events.models import Event
from gamer.web.admin import ReadOnlyAdmin


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("when", "actor", "action", "resource", "resource_id", "details")
    list_filter = ("resource",)
    search_fields = ("resource_id__startswith", "actor__startswith")
    search_help_text = "The beginning of an id or of an actor, like user:alice"
    ordering = ("-id",)
    sortable_by = ()  # but by time, nothing has an index
    fields = ("when", "actor", "action", ("resource", "resource_id"), "details")

    @admin.display(description="at (UTC)")
    def when(self, event: Event) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S}"
