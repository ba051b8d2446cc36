"""The rate card and the margin: dated rows. What has begun stays; a newer row takes its place."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.views import ChangeList

from accounts.principal import at_admin
from billing.admin.wording import provider_field, usd
from billing.models import Margin, Rate, RateFactor
from billing.services import prices
from gamer.web.admin import ServiceAdmin

COLOURS = {"in force": "success", "to come": "info", "over": "default"}


class DatedForm(ModelForm):  # type: ignore[type-arg]
    def clean_starts_at(self) -> Any:
        starts_at = self.cleaned_data["starts_at"]
        if starts_at < timezone.now() - prices.GRACE:
            raise ValidationError("In the past. What was sold before was sold at the rates of then.")
        return starts_at


class ProviderForm(DatedForm):
    provider = provider_field()


class DatedList(ChangeList):  # type: ignore[misc]
    """One page of rows, each told whether it is in force, from one reading of the card."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        now = timezone.now()
        card = prices.card(now)
        current = {*card.rates.values(), *card.factors.values(), card.margin}
        for row in self.result_list:
            row.told = "to come" if row.starts_at > now else "in force" if row in current else "over"


class DatedAdmin(ServiceAdmin):
    """Rows are added, and taken back before they begin; none is edited."""

    form = DatedForm
    show_facets = admin.ShowFacets.NEVER

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A row is looked at as its list shows it: its numbers have nine digits behind the point."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": [name for name in self.list_display if name != "state"]}),)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_past = obj is not None and obj.starts_at <= timezone.now()
        return bool(super().has_delete_permission(request, obj)) and not is_past

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        prices.add(row=obj, by=at_admin(request), now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        prices.remove(row=obj, by=at_admin(request), now=timezone.now())

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return DatedList

    @display(description="State", label=COLOURS)  # type: ignore[untyped-decorator]
    def state(self, row: Any) -> str:
        return str(row.told)


@admin.register(Rate)
class RateAdmin(DatedAdmin):
    empty_hint = "A machine whose provider quotes no price counts as nothing without one. Those we ship are filled in by manage.py seed."
    form = ProviderForm
    list_display = ("provider", "size", "price", "starts_at", "state")
    list_filter = ("provider",)
    list_filter_sheet = False
    fieldsets = (
        (
            None,
            {
                "description": "What is counted where nobody quoted a price. Offers quote theirs; those of clouds are the machine types'.",
                "fields": ("provider", "preset", "usd_per_hour", "starts_at"),
            },
        ),
    )

    @admin.display(description="Machine size", ordering="preset")
    def size(self, rate: Rate) -> str:
        return rate.preset or "any"

    @admin.display(description="USD per hour", ordering="usd_per_hour")
    def price(self, rate: Rate) -> str:
        return usd(rate.usd_per_hour)


@admin.register(RateFactor)
class RateFactorAdmin(DatedAdmin):
    empty_hint = "Rates hold as they are. A factor adds a provider's overhead, or what a console needs more."
    form = ProviderForm
    list_display = ("provider", "of", "times", "starts_at", "state")
    list_filter = ("provider",)
    list_filter_sheet = False
    fields = ("provider", "console", "factor", "starts_at")

    @admin.display(description="Of", ordering="console")
    def of(self, factor: RateFactor) -> str:
        return factor.console or "overhead, on every console"

    @admin.display(description="Factor", ordering="factor")
    def times(self, factor: RateFactor) -> str:
        return f"× {factor.factor.normalize():f}"


@admin.register(Margin)
class MarginAdmin(DatedAdmin):
    empty_hint = "Customers pay the price and nothing above it. A share of 0.15 adds 15 %."
    list_display = ("percent", "starts_at", "state")
    fields = ("share", "starts_at")

    @admin.display(description="Margin", ordering="share")
    def percent(self, margin: Margin) -> str:
        return f"{(100 * margin.share).normalize():f} %"
