"""How money is written on staff's pages, and how a provider is named there."""

from __future__ import annotations

from decimal import Decimal

from django import forms
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget

from billing.kinds import OFFERED
from billing.services.holds import plain

NONE = "\N{EN DASH}"


def usd(amount: Decimal | None) -> str:
    """All the digits an amount has: these are books."""
    if amount is None:
        return NONE
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return f"{sign}${plain(abs(amount))}"


def provider_field(*, required: bool = True) -> forms.ChoiceField:
    """One of the kinds there are: what is kept under a misspelt one is never found again."""
    offered = [("", NONE), *((kind, kind) for kind in OFFERED)]
    return forms.ChoiceField(choices=offered, required=required, widget=UnfoldAdminSelectWidget)


def link(name: str, key: object, text: object) -> SafeString:
    return format_html(
        '<a class="g-link" href="{}">{}</a>', reverse(f"admin:{name}_change", args=[key]), text
    )


def listed(name: str, text: object, **filters: object) -> SafeString:
    """A link to a list that is narrowed."""
    query = "&".join(f"{column}={value}" for column, value in filters.items())
    return format_html(
        '<a class="g-link" href="{}?{}">{}</a>', reverse(f"admin:{name}_changelist"), query, text
    )
