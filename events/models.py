"""What happened, one row each and never changed afterwards; and the messages that tell somebody outside."""

from __future__ import annotations

import uuid
from datetime import datetime

import pgtrigger
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils import timezone

from gamer.sealed import SealedTextField


class EventQuerySet(models.QuerySet["Event"]):
    def about(self, resource: str, resource_id: object) -> EventQuerySet:
        return self.filter(resource=resource, resource_id=str(resource_id))

    def owned_by(self, owner_id: int) -> EventQuerySet:
        return self.filter(owner_id=owner_id)

    def after(self, event_id: int) -> EventQuerySet:
        return self.filter(id__gt=event_id)


class RecordedManager(models.Manager.from_queryset(EventQuerySet)):  # type: ignore[misc]
    """What services recorded, without the rows' before and after."""

    def get_queryset(self) -> EventQuerySet:
        return super().get_queryset().filter(is_change=False)  # type: ignore[no-any-return]


class Event(models.Model):
    """Something that happened. The audience is plain ids, because this room knows nobody else's rows.

    Append-only by the database; only `ip` may be erased. Rows with `is_change` are what triggers saw of configuration
    (`events.history`): they stand in the same timeline, are for staff, and come with `Event.timeline` only.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=100, help_text="Who did it: user:…, key:…, policy:… or command:…")
    action = models.CharField(max_length=40)
    resource = models.CharField(max_length=20)
    resource_id = models.CharField(max_length=64)
    details = models.JSONField(default=dict)
    ip = models.GenericIPAddressField(
        "IP", null=True, help_text="Where the actor called from; erased after 90 days."
    )
    request_id = models.CharField(
        max_length=64, db_default="", default="", help_text="The request it was part of, as in the log."
    )
    is_change = models.BooleanField(
        db_default=False, default=False, help_text="Seen by the database, not told by a service."
    )
    owner_id = models.BigIntegerField(null=True)
    project_id = models.BigIntegerField(null=True)
    department_id = models.BigIntegerField(null=True)

    objects = RecordedManager()
    timeline = EventQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = [
            models.Index(fields=["resource", "resource_id", "id"], name="event_subject"),
            models.Index(fields=["owner_id", "id"], name="event_owner"),
            models.Index(
                fields=["project_id", "id"], condition=Q(project_id__isnull=False), name="event_project"
            ),
            models.Index(
                fields=["department_id", "id"],
                condition=Q(department_id__isnull=False),
                name="event_department",
            ),
            models.Index(fields=["at"], condition=Q(ip__isnull=False), name="event_with_ip"),
            models.Index(fields=["ip"], condition=Q(ip__isnull=False), name="event_ip"),
            models.Index(fields=["action", "id"], name="event_action"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="event_request"),
            BrinIndex(fields=["at"], name="event_at"),
            models.Index(fields=["resource_id"], opclasses=["varchar_pattern_ops"], name="event_resource_id"),
            models.Index(fields=["actor"], opclasses=["varchar_pattern_ops"], name="event_actor"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="append_only",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "NEW.ip IS NOT NULL OR to_jsonb(NEW) - 'ip' IS DISTINCT FROM to_jsonb(OLD) - 'ip'"
                ),
            ),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.resource} {self.resource_id}"


class Webhook(models.Model):
    """An address outside that is told by signed POST. What signs is sealed, and shown once: to who made it."""

    url = models.CharField("URL", max_length=500)
    secret = SealedTextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.url


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def pending(self) -> DeliveryQuerySet:
        return self.filter(delivered_at=None, given_up_at=None)

    def due(self, now: datetime) -> DeliveryQuerySet:
        return self.pending().filter(next_try_at__lte=now)


class Delivery(models.Model):
    """One message to one target, tried until it is told or given up. `next_try_at` is a lease while somebody sends."""

    key = models.CharField(max_length=200, unique=True, help_text="What is told: the same key is told once.")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    channel = models.CharField(max_length=20)
    target = models.CharField(max_length=500)
    webhook = models.ForeignKey(
        Webhook, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    payload = models.JSONField()
    created_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    token = models.UUIDField(null=True)
    delivered_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=Q(delivered_at=None) | Q(given_up_at=None), name="delivery_ends_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(delivered_at=None, given_up_at=None),
                name="delivery_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.payload.get('subject', '')} to {self.target}"

    @property
    def message_id(self) -> str:
        """What a receiver knows repeats by; says nothing about the key."""
        return f"msg_{self.public_id.hex}"
