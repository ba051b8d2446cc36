"""Staff see what the geocoder was asked and settle what it got wrong; regions are catalogue rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from locations import services
from locations.models import GeocodedPlace, Region


@admin.register(Region)
class RegionAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("code", "kind", "name", "country", "continent", "latitude", "longitude")
    list_filter = ("kind", "continent")
    search_fields = ("code", "name", "city", "country")


@admin.register(GeocodedPlace)
class GeocodedPlaceAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("__str__", "name", "matched", "latitude", "longitude", "look_at", "tries", "error")
    list_filter = ("matched",)
    search_fields = ("city", "country")
    fields = (
        ("city", "state", "country"),
        ("latitude", "longitude"),
        ("matched", "name"),
        ("asked_at", "answered_at", "look_at"),
        ("tries", "error"),
    )
    readonly_fields = (
        "city", "state", "country", "matched", "name", "asked_at", "answered_at", "look_at", "tries", "error",
    )  # fmt: skip
    actions = ("ask_again",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        for name in ("latitude", "longitude"):
            if name in form.base_fields:
                form.base_fields[name].required = True
        return form

    def save_model(self, request: HttpRequest, obj: GeocodedPlace, form: Any, change: bool) -> None:
        place = form.cleaned_data
        services.place_by_hand(
            place_id=obj.pk, latitude=place["latitude"], longitude=place["longitude"], now=timezone.now()
        )

    @admin.action(description="Ask again", permissions=["change"])
    def ask_again(self, request: HttpRequest, queryset: QuerySet[GeocodedPlace]) -> None:
        ids = list(queryset.values_list("id", flat=True))
        count = services.ask_again(place_ids=ids, now=timezone.now())
        self.message_user(request, f"{count} places will be asked for again.", messages.SUCCESS)
