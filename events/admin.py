"""The audit and the messages that went out, to look at: nobody edits what happened."""

from __future__ import annotations

from django.contrib import admin

from events.models import Delivery, Event
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


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
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
