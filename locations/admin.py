"""Staff see what the geocoder was asked and settle what it got wrong, edit regions, and see what the Location Finder said."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.postgres.fields import ArrayField
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from gamer.web.admin import BoundedAdmin, ReadOnlyAdmin
from locations import regions, services
from locations.atlas import overview
from locations.catalogue import CLOUDS, name_of
from locations.models import FinderAnswer, GeocodedPlace, Region

NONE = "–"
SHOWN = 3


class KindFilter(admin.SimpleListFilter):
    title = "provider"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, name_of(kind)) for kind in CLOUDS.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class GpuFilter(admin.SimpleListFilter):
    title = "GPUs"
    parameter_name = "gpus"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("some", "with GPUs"), ("none", "without")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        known = {"some": queryset.exclude(gpu_models=[]), "none": queryset.filter(gpu_models=[])}
        return known.get(self.value() or "", queryset)


@admin.register(Region)
class RegionAdmin(BoundedAdmin):
    empty_hint = "Nobody can be told of the nearest one. Those we ship are filled in by manage.py seed."
    list_display = ("code", "provider", "place", "continent", "gpus", "position", "is_listed", "whose")
    list_filter = (KindFilter, "continent", GpuFilter, "is_listed")
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("code", "name", "city", "country")
    search_help_text = "A code, a name, a city or a country"
    list_per_page = 100
    list_before_template = "locations/regions.html"
    fieldsets = (
        (None, {"fields": (("kind", "code"), "name", "is_listed")}),
        (
            "Place",
            {
                "fields": (("city", "state"), "country", ("country_code", "continent"), ("latitude", "longitude")),
                "description": "Coordinates, country code and continent that are left empty come from the gazetteer.",
            },
        ),
        ("Hardware", {"fields": ("gpu_models",)}),
    )  # fmt: skip
    formfield_overrides = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}
    actions = ("show", "hide")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {**overview(), **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Region, form: Any, change: bool) -> None:
        regions.save_region(region=obj, now=timezone.now())

    def has_delete_permission(self, request: HttpRequest, obj: Region | None = None) -> bool:
        """A region that we ship would be back after the next start: it is hidden instead."""
        is_ours = obj is None or regions.is_shipped(obj)
        return not is_ours and bool(super().has_delete_permission(request, obj))

    @admin.action(description="Show to players", permissions=["change"])
    def show(self, request: HttpRequest, queryset: QuerySet[Region]) -> None:
        self._list(request, queryset, is_listed=True)

    @admin.action(description="Hide from players", permissions=["change"])
    def hide(self, request: HttpRequest, queryset: QuerySet[Region]) -> None:
        self._list(request, queryset, is_listed=False)

    def _list(self, request: HttpRequest, queryset: QuerySet[Region], *, is_listed: bool) -> None:
        ids = list(queryset.values_list("id", flat=True))
        count = regions.list_regions(region_ids=ids, is_listed=is_listed, now=timezone.now())
        self.message_user(
            request, f"{count} regions are {'shown' if is_listed else 'hidden'} now.", messages.SUCCESS
        )

    @admin.display(description="Provider", ordering="kind")
    def provider(self, region: Region) -> str:
        return name_of(region.kind)

    @admin.display(description="Place", ordering="city")
    def place(self, region: Region) -> str:
        return ", ".join(part for part in (region.city, region.state, region.country) if part) or NONE

    @admin.display(description="GPUs")
    def gpus(self, region: Region) -> str:
        return ", ".join(region.gpu_models) or NONE

    @admin.display(description="Position")
    def position(self, region: Region) -> str:
        if region.latitude is None or region.longitude is None:
            return "on no map: nobody's nearest"
        return f"{region.latitude:.2f}, {region.longitude:.2f}"

    @admin.display(description="Written by", ordering="edited_at")
    def whose(self, region: Region) -> str:
        return "staff" if region.edited_at else "us"


@admin.register(FinderAnswer)
class FinderAnswerAdmin(ReadOnlyAdmin):
    empty_hint = "Nobody has needed an answer yet."
    list_display = ("source", "provider", "first", "answered_at", "look_at", "tries", "error")
    list_filter = (KindFilter,)
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("source__startswith",)
    search_help_text = "The beginning of a region of Google Cloud"
    list_before_template = "locations/finder.html"
    fields = (
        ("source", "provider"), "all", ("asked_at", "answered_at", "look_at"), ("tries", "error"),
    )  # fmt: skip
    actions = ("ask_again",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        shown = {"is_finder_on": regions.is_finder_on(), "usable_days": regions.USABLE_FOR.days}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("locations.change_finderanswer")

    @admin.action(description="Ask again", permissions=["ask"])
    def ask_again(self, request: HttpRequest, queryset: QuerySet[FinderAnswer]) -> None:
        ids = list(queryset.values_list("id", flat=True))
        count = regions.ask_finder_again(answer_ids=ids, now=timezone.now())
        self.message_user(request, f"{count} answers will be fetched again.", messages.SUCCESS)

    @admin.display(description="Provider", ordering="kind")
    def provider(self, answer: FinderAnswer) -> str:
        return name_of(answer.kind)

    @admin.display(description="Closest regions")
    def first(self, answer: FinderAnswer) -> str:
        more = len(answer.codes) - SHOWN
        text = ", ".join(answer.codes[:SHOWN]) or "no answer yet"
        return f"{text} and {more} more" if more > 0 else text

    @admin.display(description="Regions, the closest first")
    def all(self, answer: FinderAnswer) -> str:
        return ", ".join(answer.codes) or "no answer yet"


@admin.register(GeocodedPlace)
class GeocodedPlaceAdmin(ModelAdmin):  # type: ignore[misc]
    empty_hint = (
        "The gazetteer knew every place so far. One that it does not know is asked of "
        "the geocoder in the background, and can be put right here."
    )
    list_display = ("__str__", "name", "matched", "latitude", "longitude", "look_at", "tries", "error")
    list_filter = ("matched",)
    search_fields = ("city", "country")
    fields = (
        ("city", "state"),
        "country",
        ("latitude", "longitude"),
        ("matched", "name"),
        ("asked_at", "answered_at"),
        ("look_at", "tries"),
        "error",
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
