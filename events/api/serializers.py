"""An event as the API shows it. The apps above list their own subjects' events with it."""

from __future__ import annotations

from rest_framework import serializers

from events.models import Event


class EventSerializer(serializers.ModelSerializer[Event]):
    """Something that happened; ids rise with time."""

    actor = serializers.CharField(read_only=True, help_text="user:…, key:…, policy:… or command:…")
    details = serializers.DictField(read_only=True)

    class Meta:
        model = Event
        fields = ("id", "at", "actor", "action", "resource", "resource_id", "details")
        read_only_fields = fields
