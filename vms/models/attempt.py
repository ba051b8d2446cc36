"""One order of one machine for a VM."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from vms.models.columns import BulkRead, usd_field
from vms.models.vendors import ProviderAccount
from vms.models.vm import VM

if TYPE_CHECKING:
    pass


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def held(self) -> AttemptQuerySet:
        """Attempts that hold a machine or may yet get one: what caps count and a VM's end must prove gone."""
        return self.filter(gone_at=None)


class Attempt(BulkRead):
    """One order of one machine. `sent_at` is written before the order leaves; `gone_at` once no machine can be left of it."""

    vm = models.ForeignKey(VM, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    round = models.PositiveIntegerField(default=1)
    tag = models.CharField(max_length=60, unique=True)
    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="attempts")
    offer_id = models.CharField(max_length=150)
    offer = models.JSONField(default=dict, help_text="The offer as it was bought.")
    region = models.CharField(max_length=100, blank=True)
    location_name = models.CharField(max_length=200, blank=True)
    distance_km = models.FloatField(null=True)
    score = usd_field(
        null=True, help_text="Where a score chose it: the price, and what the distance was worth."
    )
    preset = models.CharField(max_length=30)
    gpus = models.PositiveIntegerField()
    vcpus = models.PositiveIntegerField()
    ram_gb = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    usd_per_hour = usd_field()
    charge_usd_per_hour = usd_field(
        default=Decimal(0), help_text="What the player pays: the price when it was chosen, and our margin."
    )
    stopped_usd_per_hour = usd_field(null=True, help_text="What it costs while stopped, once that is known.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    machine_id = models.CharField(max_length=100, blank=True)
    host_public_key = models.CharField(
        max_length=200,
        blank=True,
        help_text="What its machine showed at first use; empty where the VM's own was placed.",
    )
    unseen_since = models.DateTimeField(null=True)
    unseen_looks = models.PositiveIntegerField(default=0)
    closed_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)
    error_class = models.CharField(max_length=30, blank=True)
    error_text = models.CharField(max_length=500, blank=True)

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ("vm", "number")
        constraints = [
            models.UniqueConstraint(fields=["vm", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["account", "machine_id"], condition=~Q(machine_id=""), name="attempt_machine_once"
            ),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=False) | Q(machine_id=""), name="attempt_sent_before_machine"
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(gone_at=None), name="attempt_held"),
            models.Index(fields=["machine_id"], opclasses=["varchar_pattern_ops"], name="attempt_machine_id"),
        ]

    def __str__(self) -> str:
        return self.tag

    @property
    def outcome(self) -> str:
        """`open`, `failed` (another offer was tried after it) or `won`."""
        if self.error_class:
            return "failed"
        return "won" if self.machine_id else "open"
