"""What providers say of money and machines: invoices, balances, and where that differs from our rows."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.fields import amount_field, price_field


class ProviderInvoice(models.Model):
    """One imported file. The same file is imported once."""

    provider = models.CharField(max_length=30)
    file_name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the file.")
    imported_at = models.DateTimeField()
    actor = models.CharField(max_length=100)

    class Meta:
        ordering = ("-imported_at",)

    def __str__(self) -> str:
        return f"{self.provider} {self.file_name}"


class InvoiceLine(models.Model):
    """What a provider asks for one machine on one day."""

    invoice = models.ForeignKey(ProviderInvoice, on_delete=models.CASCADE, related_name="lines")
    provider = models.CharField(max_length=30)
    day = models.DateField()
    machine_id = models.CharField(max_length=100)
    line_key = models.CharField(
        max_length=100, help_text="The provider's own id of the line, or what stands for one."
    )
    amount_usd = amount_field()

    class Meta:
        ordering = ("day", "machine_id", "id")
        constraints = [
            models.UniqueConstraint(fields=["provider", "line_key"], name="invoice_line_once"),
        ]
        indexes = [models.Index(fields=["provider", "day", "machine_id"], name="invoice_line_of_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.machine_id}"


class ProviderBalance(models.Model):
    """What one of our accounts at a provider has left and spends, as the provider last said."""

    provider_account = models.BigIntegerField(primary_key=True)
    provider = models.CharField(max_length=30)
    name = models.CharField(max_length=60)
    balance_usd = amount_field(null=True)
    usd_per_hour = price_field(null=True, help_text="What everything there costs now.")
    looked_at = models.DateTimeField(null=True)
    low_below_usd = amount_field(
        default=20,
        help_text="Staff are told when less is left. TensorDock warns at 20 and stops machines at 0.",
    )
    low_since = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class FleetDifference(models.Model):
    """One day's answer to: does the provider run what we think it runs? Written also when nothing differs."""

    day = models.DateField()
    provider_account = models.BigIntegerField()
    provider = models.CharField(max_length=30)
    name = models.CharField(max_length=60)
    looked_at = models.DateTimeField()
    their_machines = models.PositiveIntegerField()
    our_machines = models.PositiveIntegerField()
    their_usd_per_hour = price_field(null=True, help_text="Empty when the provider does not say.")
    our_usd_per_hour = price_field()
    unknown = models.JSONField(default=list, help_text="Machines of ours that no row wants.")
    missing = models.JSONField(
        default=list, help_text="Machines in our rows that the provider does not list."
    )

    class Meta:
        ordering = ("-day", "name")
        constraints = [
            models.UniqueConstraint(fields=["day", "provider_account"], name="fleet_difference_once_a_day")
        ]
        indexes = [
            models.Index(fields=["-day"], condition=~Q(unknown=[]) | ~Q(missing=[]), name="fleet_differs")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
