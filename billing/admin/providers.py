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
from billing.admin.wording import NONE, listed, provider_field, usd
from billing.models import FleetDifference, InvoiceLine, ProviderBalance, ProviderInvoice
from gamer.errors import GamerError
from gamer.web.admin import BoundedAdmin, ReadOnlyAdmin, ServiceAdmin

TONES = {"fine": "success", "low": "danger", "differs": "danger", "same": "success"}


@admin.register(ProviderBalance)
class ProviderBalanceAdmin(BoundedAdmin):
    empty_hint = "Providers that tell their balance are asked every ten minutes, once there is an account and a queue's worker."
    list_display = ("name", "provider", "balance", "spend", "state", "looked_at")
    fields = (
        "name",
        "provider",
        ("balance", "spend"),
        "low_below_usd",
        ("looked_at", "low_since"),
    )
    readonly_fields = ("name", "provider", "balance", "spend", "looked_at", "low_since")

    def get_fields(self, request: HttpRequest, obj: ProviderBalance | None = None) -> Any:
        """Who may only look reads the mark as the other amounts."""
        may_change = self.has_change_permission(request, obj)
        return ["low_below" if name == "low_below_usd" and not may_change else name for name in self.fields]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="Balance", ordering="balance_usd")
    def balance(self, row: ProviderBalance) -> str:
        return usd(row.balance_usd)

    @admin.display(description="All there costs an hour", ordering="usd_per_hour")
    def spend(self, row: ProviderBalance) -> str:
        return usd(row.usd_per_hour)

    @admin.display(description="Staff are told below")
    def low_below(self, row: ProviderBalance) -> str:
        return usd(row.low_below_usd)

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
            "their_price",
            "our_price",
        ),
        "looked_at",
    )
    fields = (
        ("day", "looked_at"), ("name", "provider"), ("their_machines", "our_machines"), ("their_price", "our_price"),
        "unknown_machines", "missing_machines",
    )  # fmt: skip
    list_filter = ("provider",)
    ordering = ("-day", "name")
    sortable_by = ()

    @admin.display(description="Theirs cost an hour")
    def their_price(self, row: FleetDifference) -> str:
        return usd(row.their_usd_per_hour)

    @admin.display(description="Ours cost an hour")
    def our_price(self, row: FleetDifference) -> str:
        return usd(row.our_usd_per_hour)

    @admin.display(description="Machines of ours that no row wants")
    def unknown_machines(self, row: FleetDifference) -> str:
        return ", ".join(row.unknown) or NONE

    @admin.display(description="Machines of our rows that the provider does not list")
    def missing_machines(self, row: FleetDifference) -> str:
        return ", ".join(row.missing) or NONE

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
    list_display = ("day", "provider", "machine_id", "amount", "invoice")
    fields = ("invoice", "provider", "day", "machine_id", "line_key", "amount")
    list_select_related = ("invoice",)
    search_fields = ("machine_id__startswith",)
    ordering = ("-id",)
    sortable_by = ()

    @admin.display(description="Amount")
    def amount(self, line: InvoiceLine) -> str:
        return usd(line.amount_usd)
