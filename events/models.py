"""The event table: one row per thing that happened, never changed afterwards."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class EventQuerySet(models.QuerySet["Event"]):
    def about(self, resource: str, resource_id: object) -> EventQuerySet:
        return self.filter(resource=resource, resource_id=str(resource_id))

    def owned_by(self, owner_id: int) -> EventQuerySet:
        return self.filter(owner_id=owner_id)

    def within(self, department_id: int) -> EventQuerySet:
        return self.filter(department_id=department_id)

    def after(self, event_id: int) -> EventQuerySet:
        return self.filter(id__gt=event_id)


class Event(models.Model):
    """Something that happened. The audience is plain ids, because this room knows nobody else's rows."""

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
    owner_id = models.BigIntegerField(null=True)
    project_id = models.BigIntegerField(null=True)
    department_id = models.BigIntegerField(null=True)

    objects = EventQuerySet.as_manager()

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
            models.Index(fields=["resource_id"], opclasses=["varchar_pattern_ops"], name="event_resource_id"),
            models.Index(fields=["actor"], opclasses=["varchar_pattern_ops"], name="event_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.resource} {self.resource_id}"
