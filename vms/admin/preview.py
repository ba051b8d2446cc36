"""What a launch would pick right now, and why not the rest: reads rows, buys nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from emulators.models import Console, Preset
from emulators.profile import Profile
from emulators.services import lost_file, profile_for
from locations.services import search_places
from vms import installation, offers, queries, services
from vms.admin.wording import duration, hourly, kilometres, kind_name
from vms.models import ProviderAccount
from vms.offers import Shelf
from vms.placement import TEXTS, Ranking, Why
from vms.providers import registry
from vms.services import Order

BEST = 20
LISTED = 50


class PlacedForm(forms.Form):
    """What placement is asked for. A city is resolved by its name; the page's script only helps to type it."""

    city = forms.CharField(
        label="The player's city", required=False, max_length=200, widget=UnfoldAdminTextInputWidget,
        help_text="Such as Dallas, Texas. Empty: nobody knows where they are.",
    )  # fmt: skip
    latitude = forms.FloatField(
        required=False,
        min_value=-90,
        max_value=90,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Instead of a city.",
    )
    longitude = forms.FloatField(
        required=False, min_value=-180, max_value=180, widget=UnfoldAdminDecimalFieldWidget
    )
    provider = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    preset = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    usual_preset = "The console's"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._choose("provider", [("", "Any"), *((kind, kind_name(kind)) for kind in registry.KINDS)])
        self._choose("preset", [("", self.usual_preset), *((slug, slug) for slug in _presets())])
        self.fields["city"].widget.attrs["data-places"] = reverse("locations-search")
        self.place = ""

    def _choose(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        city, here = values.get("city"), (values.get("latitude"), values.get("longitude"))
        if city and here != (None, None):
            self.add_error("city", "Give a city or coordinates, not both.")
        elif (here[0] is None) != (here[1] is None):
            self.add_error("longitude" if here[1] is None else "latitude", "Both coordinates or neither.")
        elif city:
            found = search_places(q=city, limit=1)
            if found:
                place = found[0]
                values |= {"latitude": place.latitude, "longitude": place.longitude}
                self.place = ", ".join(part for part in (place.name, place.state, place.country) if part)
            else:
                self.add_error("city", "No such place is known. Try another spelling, or give coordinates.")
        return values


class PreviewForm(PlacedForm):
    """The question."""

    console = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    game_id = forms.CharField(
        label="Game id",
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="Optional.",
    )
    field_order = ("console", "game_id", "city")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        consoles = Console.objects.exclude(config=None)
        self._choose("console", [(one.pk, one.display_name) for one in consoles])

    def order(self) -> Order:
        values = self.cleaned_data
        names = ("console", "game_id", "provider", "preset", "latitude", "longitude")
        return Order(**{name: values[name] for name in names})


def _presets() -> list[str]:
    return list(Preset.objects.values_list("slug", flat=True))


@dataclass(frozen=True, slots=True)
class Option:
    """An offer as it reads: where, what and for how much."""

    rank: int
    place: str
    account: str
    gpu: str
    size: str
    preset: str
    price: str
    distance: str
    score: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """All offers with one reason; the first of them by name."""

    text: str
    count: int
    options: Sequence[Option]

    @property
    def more(self) -> int:
        return self.count - len(self.options)


def placement_preview(request: HttpRequest) -> HttpResponse:
    """`?console=…&city=…`. For staff who may see offers, or configure consoles."""
    may = request.user.has_perm
    if not (may("vms.view_offer") or may("emulators.view_emulatorconfig")):
        raise PermissionDenied
    is_asked = "console" in request.GET
    form = PreviewForm(request.GET) if is_asked else PreviewForm()
    shown = {**admin.site.each_context(request), "form": form, "title": "Placement preview"}
    if is_asked and form.is_valid():
        shown |= _answer(form, timezone.now())
    return TemplateResponse(request, "vms/preview.html", shown)


def _answer(form: PreviewForm, now: datetime) -> dict[str, Any]:
    order = form.order()
    profile = profile_for(console=order.console, game_id=order.game_id or None)
    shelf, ranking = services.rank(order, profile, now)
    names = dict(ProviderAccount.objects.values_list("pk", "name"))
    order_of_rows = [int(row) for row in ranking.order]
    return {
        "is_answered": True,
        "demand": _demand(profile, order),
        "order_words": _order_words(profile, order),
        "by_score": profile.usd_per_1000_km is not None,
        "place": form.place
        or (f"{order.latitude:g}, {order.longitude:g}" if order.latitude is not None else ""),
        "options": [option(n, row, ranking, names) for n, row in enumerate(order_of_rows[:BEST], 1)],
        "more": max(0, len(order_of_rows) - BEST),
        "considered": len(ranking.why),
        "rejected": list(_rejected(ranking, names)),
        "warnings": list(_warnings(shelf, ranking, order, profile, names)),
        "accounts": len(names),
    }


def _demand(profile: Profile, order: Order) -> str:
    name = order.preset or profile.preset
    floor = profile.presets[name].raised_to(profile.floor)
    gpu = f"{floor.gpus} GPU" if floor.gpus else "no GPU"
    limit = profile.usd_per_hour_limit
    price = f"at most {hourly(limit)}" if limit is not None else "at any price"
    return f"{name}: {floor.vcpus} vCPUs, {floor.ram_gb} GB RAM, {floor.disk_gb} GB disk, {gpu}, {price}"


def _order_words(profile: Profile, order: Order) -> str:
    """What offers that fit are tried by."""
    worth = profile.usd_per_1000_km
    if order.latitude is None:
        return "No place given: by price." if worth is not None else "No place given: priority, then price."
    if worth is not None:
        return f"By score: the price, and {hourly(worth)} for every 1,000 km."
    return "Provider by provider in the console's order, the nearest first."


def option(number: int, row: int, ranking: Ranking, names: dict[int, str], note: str = "") -> Option:
    stock, choice = ranking.stock, ranking.choice(row)
    place, model = stock.places[int(stock.place[row])], stock.gpu_models[int(stock.gpu[row])]
    return Option(
        rank=number,
        place=", ".join(part for part in (place.city, place.state, place.country) if part) or place.region,
        account=names.get(int(stock.account[row]), ""),
        gpu=f"{choice.gpus} × {model}" if choice.gpus else model or "no GPU",
        size=f"{choice.vcpus} vCPUs, {choice.ram_gb} GB RAM, {choice.disk_gb} GB disk"
        if choice.vcpus
        else "",
        preset=choice.preset,
        price=hourly(choice.usd_per_hour) if choice.usd_per_hour else "",
        distance=kilometres(choice.distance_km),
        score=hourly(choice.score),
        note=note,
    )


def _rejected(ranking: Ranking, names: dict[int, str]) -> Iterator[Rejected]:
    """By reason; those that came closest first."""
    for why in sorted(set(ranking.why.tolist()) - {int(Why.FITS)}, reverse=True):
        rows = [int(row) for row in np.flatnonzero(ranking.why == why)]
        if ranking.has_position:
            rows.sort(key=lambda row: (np.isnan(ranking.distance_km[row]), ranking.distance_km[row]))
        options = [option(0, row, ranking, names, ranking.reason(row)) for row in rows[:LISTED]]
        yield Rejected(TEXTS[Why(why)], len(rows), options)


def _warnings(
    shelf: Shelf, ranking: Ranking, order: Order, profile: Profile, names: dict[int, str]
) -> Iterator[str]:
    """What a launch would run into besides the ranking."""
    if not installation.row().is_launching:
        yield "New launches are switched off for the whole installation: a launch would be refused."
    if lost := lost_file(console=order.console, game_id=order.game_id):
        yield f"A launch of this game is refused: {lost}."
    if (
        order.preset
        and profile.presets[order.preset].raised_to(profile.floor) != profile.presets[order.preset]
    ):
        yield f"A launch that asks for the preset {order.preset} is refused: it is below what this console needs."
    if names and not shelf.is_refreshed(ranking.wish):
        yield "Not every account has been asked for its offers yet; a launch would wait for them."
    elif names and not shelf.is_fresh(ranking.wish):
        yield "Some offers were fetched more than 5 minutes ago; a launch would wait for fresh ones before it gives up."
    loads = queries.loads()
    now = timezone.now()
    for account in ProviderAccount.objects.defer("credentials"):
        until = offers.demoted_until(account, now)
        if until is not None:
            failed = account.orders_failed_in_a_row
            yield f"{account} comes after all others for {duration((until - now).total_seconds())}: its last {failed} orders failed."
        load = loads.get(account.pk, queries.Load())
        if account.max_machines is not None and load.machines >= account.max_machines:
            yield f"{account} holds all the machines it may ({account.max_machines}): a launch would pass over it."
        elif account.max_usd_per_hour is not None and load.usd_per_hour >= account.max_usd_per_hour:
            yield f"{account} spends all it may ({hourly(account.max_usd_per_hour)}): a launch would pass over it."
