"""What a VM's agent says, as `vms/setup/agent/uplink.py` writes it. Everything is bounded: the machine is a player's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from gamer.web.serializers import (
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictDateTimeField,
    StrictFloatField,
    StrictIntegerField,
    StrictSerializer,
)
from monitoring.measures import Reading
from vms.lifecycle import Status
from vms.models import GameSession
from vms.sessions import BEFORE

MAX_SESSIONS = 50
MAX_METRICS = 32
MAX_EARLIER = 60
MAX_IDLE_S = 31 * 86_400
IS_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.ASCII)


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
    played_s = StrictFloatField(
        min_value=0, max_value=MAX_IDLE_S, required=False, help_text="In all, as the agent counts."
    )


class MetricsField(serializers.DictField):
    """Numbers by name."""

    child = StrictFloatField()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > MAX_METRICS:
            raise serializers.ValidationError(f"At most {MAX_METRICS}.")
        if isinstance(data, dict) and any(len(name) > 40 for name in data):
            raise serializers.ValidationError("A name has at most 40 characters.")
        return super().to_internal_value(data)


class ActivitySerializer(StrictSerializer):
    """Whether somebody plays: null when it can't be told. `idle_s` says for how long nobody has."""

    is_playing = StrictBooleanField(allow_null=True)
    idle_s = StrictFloatField(min_value=0, max_value=MAX_IDLE_S, allow_null=True)
    connected = StrictIntegerField(min_value=0, max_value=1000)
    is_wolf_up = StrictBooleanField()


class EarlierSerializer(StrictSerializer):
    """What was measured at a moment at which nobody took the heartbeat."""

    at = StrictDateTimeField()
    metrics = MetricsField()


class UnpackedSerializer(StrictSerializer):
    """A session whose saves cannot be packed, or not whole."""

    session_id = StrictCharField(max_length=64)
    why = StrictCharField(max_length=200)


class HeartbeatSerializer(StrictSerializer):
    """How the machine is doing. `sequence` rises within one boot."""

    boot_id = StrictCharField(max_length=64, allow_blank=True)
    sequence = StrictIntegerField(min_value=0, max_value=2**53)
    sent_at = StrictDateTimeField()
    sessions = SessionStateSerializer(many=True, max_length=MAX_SESSIONS)
    metrics = MetricsField()
    activity = ActivitySerializer(required=False)
    earlier = EarlierSerializer(many=True, max_length=MAX_EARLIER, required=False)
    unpacked = UnpackedSerializer(many=True, max_length=MAX_SESSIONS, required=False)


def measured_in(heartbeat: Mapping[str, Any]) -> dict[str, float]:
    """What a checked heartbeat measured, by monitoring's names: the meters' values, the games, whether somebody plays."""
    if not heartbeat["metrics"]:
        return {}
    running = sum(one["state"] == GameSession.Status.LAUNCHED for one in heartbeat["sessions"])
    measured: dict[str, float] = {**heartbeat["metrics"], "games": running}
    is_playing = heartbeat.get("activity", {}).get("is_playing")
    return measured if is_playing is None else {**measured, "is_playing": float(is_playing)}


def earlier_in(heartbeat: Mapping[str, Any]) -> list[Reading]:
    """What a checked heartbeat tells of before."""
    return [Reading(one["at"], one["metrics"]) for one in heartbeat.get("earlier", ())]


def played_in(heartbeat: Mapping[str, Any]) -> dict[UUID, float]:
    """By session, what a checked heartbeat says was played. Never a reason to refuse it: what is no session's id is left out."""
    told = {one["session_id"]: one["played_s"] for one in heartbeat["sessions"] if "played_s" in one}
    return {UUID(name): seconds for name, seconds in told.items() if IS_UUID.match(name)}


def unpacked_in(heartbeat: Mapping[str, Any]) -> dict[UUID, str]:
    """By session, why its saves cannot be packed. What is no session's id is left out."""
    told = heartbeat.get("unpacked", ())
    return {UUID(one["session_id"]): one["why"] for one in told if IS_UUID.match(one["session_id"])}


class SaveSerializer(StrictSerializer):
    """Which session an archive is of, and what it was made from."""

    session_id = StrictUUIDField()
    base = StrictIntegerField(
        min_value=0, max_value=2**31 - 1, help_text="The version it was made from; 0 for none."
    )
    digest = serializers.RegexField(r"^[0-9a-f]{64}\Z", help_text="Of the archive's content.")
    played_s = StrictFloatField(min_value=0, max_value=MAX_IDLE_S, default=0)


class TakenSerializer(serializers.Serializer[Any]):
    """Where an archive went. One that is not current is kept beside what is."""

    slot = serializers.UUIDField()
    number = serializers.IntegerField()
    is_current = serializers.BooleanField()


class GivenSaveSerializer(serializers.Serializer[GameSession]):
    """The save a game goes on with; `base` is 0 and `digest` empty for none yet."""

    slot = serializers.UUIDField(source="slot_id")
    base = serializers.IntegerField()
    digest = serializers.SerializerMethodField()

    def get_digest(self, session: GameSession) -> str:
        return getattr(session, "digest", None) or ""


class SessionEventSerializer(StrictSerializer):
    """What became of a game. `exit_code` is null while it runs and for one that was killed, `reason` says why it failed."""

    state = StrictChoiceField(choices=[(state, state) for state in BEFORE])
    at = StrictDateTimeField()
    exit_code = StrictIntegerField(min_value=-(2**31), max_value=2**31 - 1, allow_null=True)
    reason = StrictCharField(max_length=500, required=False, allow_blank=True)


class WantedSessionSerializer(serializers.ModelSerializer[GameSession]):
    """A game that is wanted on the machine, or runs there."""

    session_id = serializers.UUIDField(source="id", read_only=True)
    save = serializers.SerializerMethodField()  # type: ignore[assignment]

    class Meta:
        model = GameSession
        fields = ("session_id", "game_id", "save_id", "status", "is_end_wanted", "save")
        read_only_fields = fields

    @extend_schema_field(GivenSaveSerializer(allow_null=True))
    def get_save(self, session: GameSession) -> Any:
        return GivenSaveSerializer(session).data if session.slot_id is not None else None


class ManifestSerializer(serializers.Serializer[Any]):
    """What a machine may know of itself."""

    vm_id = serializers.UUIDField(source="vm.id")
    console_type = serializers.CharField(source="vm.console_id")
    status = serializers.ChoiceField([(one, one) for one in Status], source="vm.status")
    auto_stop_timeout = serializers.IntegerField(source="vm.auto_stop_timeout")
    session_ends_at = serializers.DateTimeField(source="vm.session_ends_at", allow_null=True)
    games_mounted = serializers.BooleanField(source="vm.games_mounted")
    sessions = WantedSessionSerializer(many=True)
