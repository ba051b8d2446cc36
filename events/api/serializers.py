"""An event as the API shows it. The apps above list their own subjects' events with it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class EventSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField(help_text="user:…, key:…, policy:… or command:…")
    action = serializers.CharField()
    resource = serializers.CharField()
    resource_id = serializers.CharField()
    details = serializers.DictField()
