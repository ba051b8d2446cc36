"""This installation and its accounts at the vendors of machines."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from events.history import keeps_history
from gamer.sealed import SealedJSONField
from vms.models.columns import PROVIDER_KINDS

if TYPE_CHECKING:
    pass


@keeps_history("installation", "{identifier}")
class Installation(models.Model):
    """This installation: its name in every machine's tag, and the switches that hold for all of it. One row."""

    identifier = models.CharField(max_length=8, unique=True)
    database_mark = models.CharField(
        max_length=100, blank=True, help_text="The database cluster we last ran on."
    )
    is_sweep_confirmed = models.BooleanField(
        default=True,
        help_text="Off after the database moved or was restored: unknown machines are kept until an operator has looked.",
    )
    is_launching = models.BooleanField("accepts new launches", default=True)
    credit_look_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="When credit is looked at next."
    )

    class Meta:
        verbose_name = "installation"

    def __str__(self) -> str:
        return self.identifier


@keeps_history(
    "provider_accounts",
    "{id}",
    row="{name}",
    # How it is doing, written with every look. A pause of our own is an event by itself.
    unless=(
        "call_tokens", "call_tokens_at", "failures_in_a_row", "last_answered_at", "last_error", "last_error_at",
        "next_refresh_at", "offers_refreshed_at", "next_sweep_at", "paused_until", "paused_why",
        "orders_failed_in_a_row", "order_failed_at",
    ),
)  # fmt: skip
class ProviderAccount(models.Model):
    """Our account at a provider: how to reach it, how much it may hold, and how it is doing."""

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=30, choices=[(kind, kind) for kind in PROVIDER_KINDS])
    base_url = models.CharField(max_length=200, blank=True, help_text="Empty for the vendor's own address.")
    credentials = SealedJSONField(blank=True, default=dict)
    is_paused = models.BooleanField(
        "paused by staff", default=False, help_text="No new machines here; existing ones are kept."
    )
    max_machines = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: no limit.")
    max_usd_per_hour = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="What all its machines together may cost an hour. Empty: no limit.",
    )
    calls_per_minute = models.PositiveIntegerField(default=90, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The reconciler's own columns.
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    paused_why = models.CharField(max_length=300, blank=True, editable=False)
    call_tokens = models.FloatField(default=10, editable=False)
    call_tokens_at = models.DateTimeField(default=timezone.now, editable=False)
    failures_in_a_row = models.PositiveIntegerField(default=0, editable=False)
    orders_failed_in_a_row = models.PositiveIntegerField(
        default=0, editable=False, help_text="Machines that did not come, by no fault of theirs who asked."
    )
    order_failed_at = models.DateTimeField(null=True, editable=False)
    last_answered_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    next_refresh_at = models.DateTimeField(default=timezone.now, editable=False)
    offers_refreshed_at = models.DateTimeField(null=True, editable=False)
    next_sweep_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def may_buy(self, now: datetime) -> bool:
        return not self.is_paused and not (self.paused_until and self.paused_until > now)
