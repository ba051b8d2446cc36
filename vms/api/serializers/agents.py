"""What a VM's agent says, as `vms/setup/agent/uplink.py` writes it. Everything is bounded: the machine is a player's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from gamer.web.serializers import (
    StrictCharField,
    StrictChoiceField,
    StrictDateTimeField,
    StrictFloatField,
    StrictIntegerField,
    StrictSerializer,
)
from vms.models import GameSession
from vms.sessions import BEFORE

MAX_SESSIONS = 50
MAX_METRICS = 32


class StrictUUIDField(serializers.UUIDField):
    """A UUID as text; REST framework's own takes numbers too."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class RegistrationSerializer(StrictSerializer):
    """The secret that setup left on the machine."""

    vm_id = StrictUUIDField()
    bootstrap_token = StrictCharField(max_length=200)


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()


class SessionStateSerializer(StrictSerializer):
    session_id = StrictCharField(max_length=64)
    state = StrictChoiceField(choices=GameSession.Status.choices)


class MetricsField(serializers.DictField):
    """Numbers by name."""

    child = StrictFloatField()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > MAX_METRICS:
            raise serializers.ValidationError(f"At most {MAX_METRICS}.")
        if isinstance(data, dict) and any(len(name) > 40 for name in data):
            raise serializers.ValidationError("A name has at most 40 characters.")
        return super().to_internal_value(data)


class HeartbeatSerializer(StrictSerializer):
    """How the machine is doing. `sequence` rises within one boot."""

    boot_id = StrictCharField(max_length=64, allow_blank=True)
    sequence = StrictIntegerField(min_value=0)
    sent_at = StrictDateTimeField()
    sessions = SessionStateSerializer(many=True, max_length=MAX_SESSIONS)
    metrics = MetricsField()


def measured_in(heartbeat: Mapping[str, Any]) -> dict[str, float]:
    """What a checked heartbeat measured, by monitoring's names: the meters' values, the games, whether somebody plays."""
    if not heartbeat["metrics"]:
        return {}
    running = sum(one["state"] == GameSession.Status.LAUNCHED for one in heartbeat["sessions"])
    measured: dict[str, float] = {**heartbeat["metrics"], "games": running}
    is_playing = heartbeat.get("activity", {}).get("is_playing")
    return measured if is_playing is None else {**measured, "is_playing": float(is_playing)}


class SessionEventSerializer(StrictSerializer):
    """What became of a game. `exit_code` is null while it runs and for one that was killed."""

    state = StrictChoiceField(choices=[(state, state) for state in BEFORE])
    at = StrictDateTimeField()
    exit_code = StrictIntegerField(min_value=-(2**31), max_value=2**31 - 1, allow_null=True)
