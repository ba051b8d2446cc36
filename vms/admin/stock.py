"""What accounts sell, and machines of ours that nobody wants: both looked at only."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from billing.services.holds import plain
from gamer.web.admin import ReadOnlyAdmin
from vms import offers
from vms.admin.wording import NONE, ago, hourly
from vms.models import Offer, Stray
from vms.providers.base import Sizes

STRAY_COLOURS = {"waiting": "warning", "deletion ordered": "info", "proven gone": "success"}


def least_price(offer: Offer, sizes: dict[str, Sizes]) -> str:
    """What the smallest machine of an offer costs; its one price where it is sold whole."""
    ladders = sizes.get(offer.account.kind)
    if ladders is None or ladders.whole:
        size = {"vcpus": offer.max_vcpus, "ram_gb": offer.max_ram_gb, "disk_gb": offer.max_disk_gb}
        return hourly(offers.exact_price(offer, gpus=offer.max_gpus, **size))
    least = {
        "vcpus": Sizes.at_least(ladders.vcpus, 0) or 0,
        "ram_gb": Sizes.at_least(ladders.ram_gb, 0) or 0,
        "disk_gb": Sizes.at_least(ladders.disk_gb, 0) or 0,
    }
    gpus = max(offer.min_gpus, min(1, offer.max_gpus))
    return f"from {hourly(offers.exact_price(offer, gpus=gpus, **least))}"


def _shown(name: str, column: str) -> Callable[[Offer], str]:
    """A column by another name; of prices no more places than say something."""

    @admin.display(description=name)
    def told(offer: Offer) -> str:
        value = getattr(offer, column)
        return plain(value) if isinstance(value, Decimal) else str(value) or NONE

    return told


@admin.register(Offer)
class OfferAdmin(ReadOnlyAdmin):
    empty_hint = (
        "The reconciler asks every provider account what it sells. Nothing comes without an account, "
        "while it is paused, or while no reconciler runs: manage.py doctor says which."
    )
    list_display = ("place", "account", "gpu", "largest", "price", "ports", "cooling", "fetched")
    list_filter = ("account", "account__kind")
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = (
        "city__istartswith",
        "gpu_model__istartswith",
        "country__istartswith",
        "region__istartswith",
    )
    search_help_text = "The beginning of a city, a country, a region or a GPU model"
    ordering = ("country", "state", "city", "id")
    fieldsets = (
        (None, {"fields": (("place", "account"), ("offer_id", "region"), ("latitude", "longitude"))}),
        (
            "Largest machine",
            {
                "fields": (
                    (_shown("GPUs at least", "min_gpus"), _shown("GPUs at most", "max_gpus")),
                    (_shown("GPU", "gpu_model"), _shown("vCPUs", "max_vcpus")),
                    (_shown("RAM, GB", "max_ram_gb"), _shown("Disk, GB", "max_disk_gb")),
                )
            },
        ),
        (
            "Price (USD per hour)",
            {
                "fields": (
                    (_shown("A machine", "usd_per_hour"), _shown("Its own address", "usd_per_dedicated_ip")),
                    (_shown("A GPU", "usd_per_gpu"), _shown("A vCPU", "usd_per_vcpu")),
                    (_shown("A GB of RAM", "usd_per_gb_ram"), _shown("A GB of disk", "usd_per_gb_disk")),
                )
            },
        ),
        ("Now", {"fields": ("ports", "cooling", "refreshed_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Offer]:
        return Offer.objects.select_related("account").defer("account__credentials", "order")

    @admin.display(description="Place", ordering="city")
    def place(self, offer: Offer) -> str:
        return offer.location_name

    @admin.display(description="GPU", ordering="gpu_model")
    def gpu(self, offer: Offer) -> str:
        return f"{offer.max_gpus} × {offer.gpu_model}" if offer.max_gpus else "no GPU"

    @admin.display(description="Largest machine")
    def largest(self, offer: Offer) -> str:
        return f"{offer.max_vcpus} vCPUs, {offer.max_ram_gb} GB RAM, {offer.max_disk_gb} GB disk"

    @admin.display(description="Price")
    def price(self, offer: Offer) -> str:
        return least_price(offer, offers.sizes())

    @admin.display(description="Public ports")
    def ports(self, offer: Offer) -> str:
        if offer.has_dedicated_ip:
            return "own address"
        return "mapped one to one" if offer.maps_ports_one_to_one else "none: Moonlight cannot reach it"

    @admin.display(description="Cooling down")
    def cooling(self, offer: Offer) -> str:
        now = timezone.now()
        if offer.cools_until is None or offer.cools_until <= now:
            return NONE
        return f"{offer.cools_why} (again {ago(offer.cools_until, now)})"

    @admin.display(description="Fetched", ordering="refreshed_at")
    def fetched(self, offer: Offer) -> str:
        return ago(offer.refreshed_at, timezone.now())


class GoneFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("here", "still there"), ("gone", "proven gone")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        known = {"here": queryset.filter(gone_at=None), "gone": queryset.exclude(gone_at=None)}
        return known.get(self.value() or "", queryset)


@admin.register(Stray)
class StrayAdmin(ReadOnlyAdmin):
    empty_hint = "That is as it should be: no provider lists a machine of ours that no VM wants. The sweep looks every minute."
    list_display = ("tag", "account", "machine_id", "state", "why", "price", "seen")
    list_filter = (GoneFilter, "account", "reason")
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("tag__startswith", "machine_id__startswith")
    search_help_text = "The beginning of a tag or a machine id"
    ordering = ("-first_seen_at", "-id")
    fields = (("tag", "machine_id"), "account", "why", "price", ("first_seen_at", "ordered_at", "gone_at"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stray]:
        return Stray.objects.select_related("account").defer("account__credentials")

    @display(description="State", label=STRAY_COLOURS)  # type: ignore[untyped-decorator]
    def state(self, stray: Stray) -> str:
        if stray.gone_at is not None:
            return "proven gone"
        return "deletion ordered" if stray.ordered_at is not None else "waiting"

    @admin.display(description="Why")
    def why(self, stray: Stray) -> str:
        return stray.get_reason_display()

    @admin.display(description="Price")
    def price(self, stray: Stray) -> str:
        return hourly(stray.usd_per_hour)

    @admin.display(description="First seen", ordering="first_seen_at")
    def seen(self, stray: Stray) -> str:
        return format_html(
            '<span title="{}">{}</span>', stray.first_seen_at, ago(stray.first_seen_at, timezone.now())
        )
