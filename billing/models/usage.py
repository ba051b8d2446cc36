"""What was used: metered machines, their running meters and the closed intervals. Their sums are in `sums.py`.

A closed interval (`UsageRecord`) is a fact: the database refuses to change or delete it. What is still open is a `Meter`.
So what was spent until now = the sum of the records (or of the days) + what `rating.accrued` says of each meter.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.models.fields import amount_field, price_field


class CostCentre(models.Model):
    """One combination of everything reports group by, so that intervals and sums carry a single number. Never changes."""

    payer = models.ForeignKey("billing.CreditAccount", on_delete=models.PROTECT, related_name="+")
    provider = models.CharField(max_length=30, help_text="The kind: tensordock, cloudypad_gcp …")
    provider_account = models.BigIntegerField(null=True, help_text="Which account of ours at the provider.")
    region = models.CharField(max_length=100, blank=True)
    console = models.CharField(max_length=30)
    preset = models.CharField(max_length=30)
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey("accounts.Project", null=True, on_delete=models.PROTECT, related_name="+")
    department = models.ForeignKey(
        "accounts.Department", null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "user",
                    "project",
                    "department",
                    "payer",
                    "provider",
                    "provider_account",
                    "region",
                    "console",
                    "preset",
                ],
                name="cost_centre_once",
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(fields=["project"], condition=Q(project__isnull=False), name="cost_centre_project"),
            models.Index(
                fields=["department"], condition=Q(department__isnull=False), name="cost_centre_department"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.console} {self.preset} at {self.provider}"


class PriceSource(models.TextChoices):
    QUOTE = "quote", "the vendor's quote"
    RATE = "rate", "our rate card"
    UNKNOWN = "unknown", "unknown: counted as nothing"


class Subject(models.Model):
    """One metered machine, with the price it was bought at. A VM that is placed anew has one per machine it ever had.

    `key` names it outside (`attempt:12`, `stray:3`); `vm` is the promise it served, if any. `started_at` is when it began
    to cost, `ended_at` when it was proven gone.
    """

    key = models.CharField(max_length=64, unique=True)
    vm = models.UUIDField(null=True)
    centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, related_name="subjects")
    price_source = models.CharField(max_length=8, choices=PriceSource.choices)
    rate = models.ForeignKey("billing.Rate", null=True, on_delete=models.PROTECT, related_name="+")
    factors = models.JSONField(
        default=list, help_text="Ids of the factors in the price; empty for a quote, which has them in it."
    )
    margin = models.ForeignKey("billing.Margin", null=True, on_delete=models.PROTECT, related_name="+")
    cost_usd_per_hour = price_field(help_text="What the provider asks while it runs.")
    stopped_usd_per_hour = price_field(help_text="What the provider asks while it is stopped.")
    charge_usd_per_hour = price_field(help_text="What the customer pays while it can be played on.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    cost_usd_per_hour__gte=0, stopped_usd_per_hour__gte=0, charge_usd_per_hour__gte=0
                ),
                name="subject_prices_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")), name="subject_ends_after_start"
            ),
        ]
        indexes = [
            models.Index(fields=["vm", "started_at"], name="subject_of_vm"),
            models.Index(fields=["started_at"], name="subject_started"),
            models.Index(fields=["centre", "started_at"], name="subject_of_centre"),
        ]

    def __str__(self) -> str:
        return self.key


class UsageKind(models.TextChoices):
    """`running`: the machine runs. `stopped`: it is switched off and reserved. `storage`: only its disk is kept."""

    RUNNING = "running", "running"
    STOPPED = "stopped", "stopped, but billed"
    STORAGE = "storage", "its disk only"


class Meter(models.Model):
    """The open interval of a machine, one at most. Cut at every change and every full hour: `since` moves on, a record is left.

    `origin` is where the running total of these prices begins: a cut's cost is the rounded total at its end minus the one
    at its start, so that splitting changes no sum.
    """

    subject = models.OneToOneField(Subject, primary_key=True, on_delete=models.PROTECT, related_name="meter")
    centre = models.ForeignKey(CostCentre, on_delete=models.PROTECT, related_name="meters", db_index=False)
    kind = models.CharField(max_length=7, choices=UsageKind.choices)
    origin = models.DateTimeField()
    since = models.DateTimeField()
    cost_usd_per_hour = price_field()
    charge_usd_per_hour = price_field(help_text="0 while nobody can play on it.")
    is_charged = models.BooleanField(help_text="Somebody can play on it, be it for nothing.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_usd_per_hour__gte=0, charge_usd_per_hour__gte=0, since__gte=F("origin")),
                name="meter_runs_forward",
            )
        ]
        # Hours are closed centre by centre.
        indexes = [models.Index(fields=["centre", "subject"], name="meter_of_centre")]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.kind} since {self.since:%Y-%m-%d %H:%M:%S}"


class UsageRecord(models.Model):
    """A closed interval of one machine: never longer than an hour, within one day, and never changed. Both kinds of money.

    `cost_usd` is the provider's, `charge_usd` the customer's; exact, to the millionth. `day` is the day it counts to, in
    `settings.BILLING_TIME_ZONE`.
    """

    id = models.BigAutoField(primary_key=True)
    # Both are there: looked up once per statement (`migrations/0003_laws.py`), not row by row.
    subject = models.ForeignKey(
        Subject, on_delete=models.PROTECT, related_name="records", db_index=False, db_constraint=False
    )
    centre = models.ForeignKey(
        CostCentre, on_delete=models.PROTECT, related_name="records", db_index=False, db_constraint=False
    )
    kind = models.CharField(max_length=7, choices=UsageKind.choices)
    day = models.DateField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    origin = models.DateTimeField()
    cost_usd_per_hour = price_field()
    charge_usd_per_hour = price_field()
    is_charged = models.BooleanField()
    cost_usd = amount_field()
    charge_usd = amount_field()

    class Meta:
        ordering = ("id",)
        constraints = [
            # One interval for each beginning. With the law that each begins where the one before ended (`0003_laws.py`), no second
            # is counted twice and none is left out.
            models.UniqueConstraint(
                fields=["subject", "started_at"], include=["ended_at"], name="usage_of_subject"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__gt=F("started_at"), started_at__gte=F("origin")),
                name="usage_runs_forward",
            ),
            models.CheckConstraint(
                condition=Q(
                    cost_usd__gte=0, charge_usd__gte=0, cost_usd_per_hour__gte=0, charge_usd_per_hour__gte=0
                ),
                name="usage_not_negative",
            ),
        ]
        indexes = [models.Index(fields=["day", "centre"], name="usage_of_day")]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.kind} {self.started_at:%Y-%m-%d %H:%M:%S}–{self.ended_at:%H:%M:%S}"
