"""One game asked for on one VM."""

from __future__ import annotations

import uuid

from django.db import models


class GameSession(models.Model):
    """One game asked for on one VM."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        LAUNCHED = "launched"
        ENDED = "ended"
        FAILED = "failed"

    OPEN = (Status.QUEUED, Status.LAUNCHED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    vm = models.ForeignKey("vms.VM", on_delete=models.PROTECT, related_name="sessions")
    game_id = models.CharField(max_length=100)
    save_id = models.CharField(max_length=100, blank=True)
    slot = models.ForeignKey(
        "emulators.SaveSlot", null=True, blank=True, on_delete=models.SET_NULL, related_name="sessions"
    )
    base = models.PositiveIntegerField(
        default=0, help_text="Number of the slot's version that the machine was given; 0 for none."
    )
    played_s = models.PositiveIntegerField(default=0, help_text="As last reported, in all.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    is_end_wanted = models.BooleanField(
        default=False, help_text="Somebody asked to end it; the reconciler will."
    )
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error_text = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-queued_at", "id")
        indexes = [models.Index(fields=["vm", "-queued_at"], name="session_of_vm")]

    def __str__(self) -> str:
        return f"{self.game_id} ({self.status})"
