"""Moves asked by staff, of one VM or of many: where to, what would be picked there now and what that costs, and then the word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from gamer.errors import GamerError
from vms import installation, moves
from vms.admin.acts import MOVE, carry_out
from vms.admin.preview import Option, PlacedForm, option
from vms.admin.wording import COLOURS, hourly
from vms.models import VM, ProviderAccount, VMQuerySet
from vms.moves import Destination

# Each is ranked by itself before anybody is asked.
MOST_AT_ONCE = 20
TEMPLATE = "vms/move.html"


class MoveForm(PlacedForm):
    """Where to. Empty means any."""

    region = forms.CharField(
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="A region's code or its beginning, a country, a state or a city. Empty: anywhere.",
    )
    field_order = ("provider", "region", "preset", "city", "latitude", "longitude")
    usual_preset = "As it was asked"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["city"].help_text = "Where the player is now. Empty: where they were."

    def clean_region(self) -> str:
        region = str(self.cleaned_data["region"])
        if region and not moves.is_known(region):
            raise forms.ValidationError(
                "No provider has a region, a country, a state or a city of this name."
            )
        return region

    def destination(self) -> Destination:
        names = ("provider", "region", "preset", "latitude", "longitude")
        return Destination(**{name: self.cleaned_data[name] for name in names})


@dataclass(frozen=True, slots=True)
class Pick:
    """One VM: where it is, and where it would go, or why it would not."""

    vm: VM
    colour: str
    here: str
    price: str
    there: Option | None
    refusal: str = ""


def move_one(request: HttpRequest, vm: VM, context: dict[str, Any]) -> HttpResponse:
    """GET shows what would be picked; POST shows it for other wishes, or moves when it is confirmed."""
    if not MOVE.is_allowed(request):
        raise PermissionDenied
    page = reverse("admin:vms_vm_change", args=[vm.pk])
    answer = _ask_or_move(request, [vm], {**context, "back": page})
    return answer or HttpResponseRedirect(page)


def bulk_action(
    request: HttpRequest, context: Callable[[], dict[str, Any]]
) -> dict[str, tuple[Any, str, str]]:
    """The list's action, as Django wants it."""
    if not MOVE.is_allowed(request):
        return {}
    return {MOVE.name: (partial(_move_many, context=context), MOVE.name, MOVE.label)}


def _move_many(
    model_admin: Any, request: HttpRequest, rows: VMQuerySet, *, context: Callable[[], dict[str, Any]]
) -> HttpResponse | None:
    chosen = list(rows[: MOST_AT_ONCE + 1])
    if len(chosen) > MOST_AT_ONCE:
        messages.error(request, f"At most {MOST_AT_ONCE} VMs are moved at once. Nothing was done.")
        return None
    return _ask_or_move(request, chosen, {**context(), "back": request.get_full_path(), "is_many": True})


def _ask_or_move(request: HttpRequest, vms: Sequence[VM], context: dict[str, Any]) -> HttpResponse | None:
    """The page; None once the move is asked."""
    is_answered = "shown" in request.POST
    form = MoveForm(request.POST if is_answered else {})
    to = form.destination() if form.is_valid() else None
    seen = repr(to)
    # What is confirmed is what was shown: other wishes are shown first.
    if to is not None and "confirmed" in request.POST and request.POST.get("seen") == seen:
        carry_out(request, replace(MOVE, call=partial(moves.move, to=to)), vms)
        return None
    subject = str(vms[0]) if len(vms) == 1 else f"{len(vms)} VMs"
    asked = {
        "act": MOVE,
        "form": form,
        "seen": seen,
        "vms": vms,
        "picks": list(_picks(vms, to, timezone.now())) if to is not None else [],
        "is_launching": installation.row().is_launching,
        "title": f"{MOVE.label}: {subject}",
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, TEMPLATE, {**context, **asked})


def _picks(vms: Sequence[VM], to: Destination, now: datetime) -> Iterator[Pick]:
    names = dict(ProviderAccount.objects.values_list("pk", "name"))
    for vm in vms:
        attempt = vm.attempt
        here = (
            f"{attempt.location_name or attempt.region} at {attempt.account.name}"
            if attempt is not None
            else ""
        )
        pick = Pick(
            vm, COLOURS[vm.status], here, hourly(attempt.usd_per_hour) if attempt is not None else "", None
        )
        if vm.status not in moves.MOVABLE:
            yield replace(pick, refusal=f"It is {vm.status}: only a running or a stopped one can be moved.")
            continue
        try:
            _, ranking = moves.preview(vm=vm, to=to, now=now)
        except GamerError as error:
            yield replace(pick, refusal=error.message)
            continue
        if len(ranking.order):
            yield replace(pick, there=option(1, int(ranking.order[0]), ranking, names))
        else:
            reasons = ranking.reasons_by_kind().items()
            yield replace(
                pick, refusal="; ".join(f"{kind}: {text}" for kind, text in reasons) or "No offers are known."
            )
