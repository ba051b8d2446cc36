"""The row of a step of setup; `reconcile/acting.py` writes it, and `models` shows it with the others."""

from __future__ import annotations

from django.db import models


class SetupStep(models.Model):
    """One step of making a machine a console, as last reported. Replaced, not appended, when it runs again."""

    attempt = models.ForeignKey("vms.Attempt", on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=40)
    title = models.CharField(max_length=100)
    state = models.CharField(max_length=10)
    seconds = models.FloatField(null=True)
    log_tail = models.TextField(blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("attempt", "position")
        constraints = [models.UniqueConstraint(fields=["attempt", "name"], name="step_once_per_attempt")]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"
