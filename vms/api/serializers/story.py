"""What the API says of what happened to a VM: its timeline, the offers tried, the setup, the games."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.principal import Principal
from gamer.web.serializers import MoneyField, StrictCharField, StrictIntegerField, StrictSerializer
from vms.api.serializers.machines import FaultSerializer, TextOrNull
from vms.models import Attempt, GameSession, SetupStep


class AfterSerializer(StrictSerializer):
    """Where to go on in a timeline."""

    after = StrictIntegerField(
        default=0, min_value=0, help_text="Only events behind the one with this id; resumes without loss."
    )


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One offer that was tried: what it was, and why it was not it."""

    provider = serializers.CharField(source="account.kind", read_only=True)
    region = TextOrNull()
    location_name = TextOrNull()
    hourly_cost_usd = MoneyField(source="charge_usd_per_hour", read_only=True)
    outcome = serializers.ChoiceField(
        [("open", "open"), ("failed", "failed"), ("won", "won")], read_only=True
    )
    error = serializers.SerializerMethodField()
    seconds = serializers.SerializerMethodField(help_text="From the order to the provider's answer.")

    class Meta:
        model = Attempt
        fields: tuple[str, ...] = (
            *("number", "round", "provider", "offer_id", "region", "location_name", "distance_km"),
            *("preset", "gpus", "vcpus", "ram_gb", "disk_gb", "hourly_cost_usd"),
            *("created_at", "sent_at", "answered_at", "closed_at", "gone_at", "seconds", "outcome", "error"),
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(FaultSerializer(allow_null=True))
    def get_error(self, attempt: Attempt) -> dict[str, str] | None:
        if not attempt.error_class:
            return None
        return {"code": attempt.error_class, "message": attempt.error_text}

    def get_seconds(self, attempt: Attempt) -> float | None:
        if attempt.sent_at is None or attempt.answered_at is None:
            return None
        return round((attempt.answered_at - attempt.sent_at).total_seconds(), 3)


@extend_schema_serializer(component_name="Attempt")
class StaffAttemptSerializer(AttemptSerializer):
    """One offer that was tried; staff see the last fields too."""

    score = MoneyField(
        allow_null=True,
        required=False,
        help_text="What chose it, USD per hour: the provider's price, and what the distance was worth; null where priorities did.",
    )
    provider_instance_id = TextOrNull(source="machine_id", read_only=False, required=False)

    class Meta(AttemptSerializer.Meta):
        fields = (*AttemptSerializer.Meta.fields, "score", "provider_instance_id")


def attempt_serializer(principal: Principal) -> type[AttemptSerializer]:
    return StaffAttemptSerializer if principal.is_staff else AttemptSerializer


class PairingRequestSerializer(serializers.Serializer[Any]):
    """A Moonlight that shows a PIN."""

    request_id = serializers.CharField()
    client_ip = serializers.CharField()


class PairingSerializer(serializers.Serializer[Any]):
    """Who waits for a PIN, the newest first, and how many devices are paired."""

    pending = PairingRequestSerializer(many=True)
    paired_clients = serializers.IntegerField()


class PinSerializer(StrictSerializer):
    """The PIN that Moonlight shows. Without `request_id` it goes to the newest; refused when those who wait are of several addresses."""

    pin = StrictCharField(max_length=4, min_length=4)
    request_id = StrictCharField(max_length=64, required=False)

    def validate_pin(self, pin: str) -> str:
        if not (pin.isascii() and pin.isdigit()):
            raise serializers.ValidationError("Four digits, as Moonlight shows them.")
        return pin


class PairedSerializer(serializers.Serializer[Any]):
    """False: the PIN was handed over, and no new device came of it."""

    is_paired = serializers.BooleanField()


class StepSerializer(serializers.ModelSerializer[SetupStep]):
    """One step of making the machine a console. `seconds` is null while it runs."""

    state = serializers.ChoiceField([(one, one) for one in ("running", "done", "failed")], read_only=True)

    class Meta:
        model = SetupStep
        fields: tuple[str, ...] = ("name", "title", "state", "seconds", "updated_at")
        read_only_fields: tuple[str, ...] = fields


@extend_schema_serializer(component_name="Step")
class StaffStepSerializer(StepSerializer):
    """One step of making the machine a console; staff see its log too."""

    log_tail = serializers.CharField(required=False)

    class Meta(StepSerializer.Meta):
        fields = (*StepSerializer.Meta.fields, "log_tail")


def step_serializer(principal: Principal) -> type[StepSerializer]:
    return StaffStepSerializer if principal.is_staff else StepSerializer


class SessionSerializer(serializers.ModelSerializer[GameSession]):
    """One game on one VM."""

    session_id = serializers.UUIDField(source="id", read_only=True)
    vm_id = serializers.UUIDField(read_only=True)
    slot_id = serializers.UUIDField(
        read_only=True, allow_null=True, help_text="Where its saves are; null for none."
    )
    save_id = TextOrNull()
    error = TextOrNull(source="error_text", help_text="Why it ended or failed, when there is more to say.")

    class Meta:
        model = GameSession
        fields = (
            *("session_id", "vm_id", "game_id", "slot_id", "save_id", "status"),
            *("queued_at", "started_at", "ended_at", "played_s", "error"),
        )
        read_only_fields = fields


class SessionMessageSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    session_id = serializers.UUIDField()
