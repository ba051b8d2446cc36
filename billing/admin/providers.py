"""What providers say of money and machines: balances, invoices, and the days on which they differ from us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from accounts.principal import at_admin
from billing import invoices
from billing.admin.wording import listed, provider_field
from billing.models import FleetDifference, InvoiceLine, ProviderBalance, ProviderInvoice
from gamer.errors import GamerError
from gamer.web.admin import BoundedAdmin, ReadOnlyAdmin, ServiceAdmin

TONES = {"fine": "success", "low": "danger", "differs": "danger", "same": "success"}


@admin.register(ProviderBalance)
class ProviderBalanceAdmin(BoundedAdmin):
    empty_hint = "Providers that tell their balance are asked every ten minutes, once there is an account and a queue's worker."
    list_display = ("name", "provider", "balance_usd", "usd_per_hour", "state", "looked_at")
    fields = (
        "name",
        "provider",
        ("balance_usd", "usd_per_hour"),
        "low_below_usd",
        ("looked_at", "low_since"),
    )
    readonly_fields = ("name", "provider", "balance_usd", "usd_per_hour", "looked_at", "low_since")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="State", label=TONES)  # type: ignore[untyped-decorator]
    def state(self, row: ProviderBalance) -> str:
        return "low" if row.low_since is not None else "fine"


@admin.register(FleetDifference)
class FleetDifferenceAdmin(ReadOnlyAdmin):
    empty_hint = "The reconciler writes one for each provider account and day, once there is an account."
    list_display = (
        *(
            "day",
            "name",
            "provider",
            "state",
            "their_machines",
            "our_machines",
            "their_usd_per_hour",
            "our_usd_per_hour",
        ),
        "looked_at",
    )
    list_filter = ("provider",)
    ordering = ("-day", "name")
    sortable_by = ()

    @display(description="State", label=TONES)  # type: ignore[untyped-decorator]
    def state(self, row: FleetDifference) -> str:
        return "differs" if row.unknown or row.missing else "same"


class InvoiceForm(forms.ModelForm):  # type: ignore[type-arg]
    provider = provider_field()
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(),
        help_text="CSV with day, machine_id, amount and, if there is one, line_id. At most 1 MB here, because no page takes more; "
        "manage.py import_invoice takes 50 MB.",
    )

    class Meta:
        model = ProviderInvoice
        fields = ("provider",)

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        file.seek(0)  # read once more for a form that the service has refused
        content = file.read()
        try:
            invoices.read(content)
        except GamerError as error:
            raise forms.ValidationError(
                [f"{name}: {texts[0]}" for name, texts in error.details.items()]
            ) from None
        return file.name, content


@admin.register(ProviderInvoice)
class ProviderInvoiceAdmin(ServiceAdmin):
    empty_hint = (
        "Add the provider's file of what it asks, or run manage.py "
        "import_invoice: it is compared with our records, machine by machine."
    )
    form = InvoiceForm
    list_display = ("file_name", "provider", "imported_at", "actor", "lines")
    list_filter = ("provider",)
    readonly_fields = ("lines",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return (
            ("provider", "file")
            if obj is None
            else ("provider", "file_name", "imported_at", "actor", "digest", "lines")
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is not None:
            options["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **options)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ProviderInvoice, form: Any, change: bool) -> None:
        name, content = form.cleaned_data["file"]
        provider, now = form.cleaned_data["provider"], timezone.now()
        found = invoices.load(
            by=at_admin(request), provider=provider, file_name=name, content=content, now=now
        )
        obj.pk = found.invoice.pk
        obj.refresh_from_db()
        words = f"{found.new} lines imported, {found.known} known already."
        self.message_user(request, words, messages.SUCCESS if found.new else messages.WARNING)

    @admin.display(description="Lines")
    def lines(self, invoice: ProviderInvoice) -> str:
        return listed("billing_invoiceline", "Its lines", invoice__id__exact=invoice.pk)


@admin.register(InvoiceLine)
class InvoiceLineAdmin(ReadOnlyAdmin):
    """Half a million a file. Reached from its invoice; no index serves another order, or a filter of everything."""

    empty_hint = "They come with an invoice. Import one under Provider invoices."
    list_display = ("day", "provider", "machine_id", "amount_usd", "invoice")
    list_select_related = ("invoice",)
    search_fields = ("machine_id__startswith",)
    ordering = ("-id",)
    sortable_by = ()
