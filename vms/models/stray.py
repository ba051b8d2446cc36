"""The row of a machine nobody wants; `reconcile/orphans.py` has what is done with it, and `models` shows it with the others."""

from __future__ import annotations

from django.db import models

from vms.models.columns import usd_field


class Stray(models.Model):
    """A machine of this installation that no VM wants: seen in a list, deleted within a budget, kept as a record."""

    class Reason(models.TextChoices):
        SUPERSEDED = "superseded", "its VM goes on without it"
        UNKNOWN = "unknown", "no row knows it"

    account = models.ForeignKey("vms.ProviderAccount", on_delete=models.PROTECT, related_name="strays")
    machine_id = models.CharField(max_length=100)
    tag = models.CharField(max_length=60)
    reason = models.CharField(max_length=12, choices=Reason.choices)
    usd_per_hour = usd_field(null=True)
    first_seen_at = models.DateTimeField()
    ordered_at = models.DateTimeField(null=True, help_text="When its deletion was last ordered.")
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "machine_id"], name="stray_once")]

    def __str__(self) -> str:
        return f"{self.tag} ({self.reason})"
