"""What the API says of a VM. Money in USD per hour, distances in km, times in UTC."""

from __future__ import annotations

from typing import Any, cast

from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.principal import Principal
from emulators.api.serializers import PROVIDERS
from emulators.models import ConsoleType
from gamer.web.serializers import (
    MessageSerializer,
    MoneyField,
    StrictChoiceField,
    StrictDateTimeField,
    StrictSerializer,
)
from redaction.masks import redact
from vms.api.serializers.wishes import LocationSerializer, ProjectField, UserField
from vms.lifecycle import Phase, Status, status_of
from vms.models import VM
from vms.queries import VmFilters, usual_presets
from vms.reconcile.liveness import deletes_at
from vms.streaming import CONTROL_PORT, TCP_PORTS, UDP_PORTS

STATUSES = [(one.value, one.value) for one in Status]
# What an index holds; a table of all VMs ever made is not sorted for anybody.
ORDERINGS = [(one, one) for one in ("created_at", "-created_at")]


class TextOrNull(serializers.CharField):
    """Text of which there may be none: null rather than empty."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"read_only": True, "allow_null": True, **options})

    def to_representation(self, value: Any) -> Any:
        return str(value) if value else None


class FaultSerializer(serializers.Serializer[Any]):
    """What went wrong: a short code to switch on, a sentence for people."""

    code = serializers.CharField()
    message = serializers.CharField()


class VmSerializer(serializers.ModelSerializer[VM]):
    """A VM for everybody who may see it; takes the rows of `queries.shown`."""

    vm_id = serializers.UUIDField(source="id", read_only=True)
    status = serializers.SerializerMethodField()
    preset = serializers.SerializerMethodField(help_text="What was bought, else asked for, else usual.")
    console_type = serializers.ChoiceField(ConsoleType.choices, source="console_id", read_only=True)
    provider = serializers.SerializerMethodField(help_text="null while none is chosen.")
    region = TextOrNull(source="attempt__region")
    location_name = TextOrNull(source="attempt__location_name")
    ip_address = TextOrNull()
    wolf_port = serializers.SerializerMethodField()
    user_id = TextOrNull(source="owner__handle")
    project_id = serializers.IntegerField(read_only=True, allow_null=True)
    hourly_cost_usd = MoneyField(source="attempt__charge_usd_per_hour", read_only=True, allow_null=True)
    distance_km = serializers.FloatField(
        source="attempt__distance_km", read_only=True, allow_null=True, help_text="From the player."
    )
    deletes_at = serializers.SerializerMethodField(help_text="When a stopped VM is deleted.")
    error = serializers.SerializerMethodField()

    class Meta:
        model = VM
        fields: tuple[str, ...] = (
            *("vm_id", "name", "status", "phase", "preset", "console_type", "provider", "region"),
            *("location_name", "created_at", "updated_at", "ip_address", "wolf_port", "ssh_port"),
            *("auto_stop_timeout", "gaming_environment_ready", "cloudypad_configured", "games_mounted"),
            *("last_activity", "last_moonlight_connection", "user_id", "project_id", "hourly_cost_usd"),
            *("distance_km", "session_ends_at", "deletes_at", "error"),
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.ChoiceField(STATUSES))
    def get_status(self, vm: Any) -> str:
        return status_of(vm.desired, vm.phase).value

    def get_preset(self, vm: Any) -> str | None:
        return vm.attempt__preset or vm.wanted_preset or self._usual_presets.get(vm.console_id)

    @cached_property
    def _usual_presets(self) -> dict[str, str]:
        """Read once for all VMs of an answer, and only when one of them has neither machine nor wish."""
        return usual_presets()

    def get_provider(self, vm: Any) -> str | None:
        return vm.attempt__account__kind or vm.wanted_provider or None

    def get_wolf_port(self, vm: Any) -> int:
        return CONTROL_PORT

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_deletes_at(self, vm: Any) -> Any:
        moment = deletes_at(vm)
        return None if moment is None else serializers.DateTimeField().to_representation(moment)

    @extend_schema_field(FaultSerializer(allow_null=True))
    def get_error(self, vm: Any) -> dict[str, str] | None:
        return {"code": vm.error, "message": vm.error_text} if vm.error else None


class RedactedField(serializers.DictField):
    """What the provider said. Adapters redact it; a second look costs little and forgives none of them."""

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return redact(value)


class UserLocationSerializer(LocationSerializer):
    """Where the player was at the launch; null when they did not say."""

    def to_representation(self, instance: Any) -> Any:
        return None if instance.latitude is None else super().to_representation(instance)


# Not read-only, for then they would be described as always there.
@extend_schema_serializer(component_name="Vm")
class StaffVmSerializer(VmSerializer):
    """A VM. Only staff get the three last fields."""

    provider_instance_id = TextOrNull(source="attempt__machine_id", read_only=False, required=False)
    provider_metadata = RedactedField(source="machine_raw", required=False)
    user_location = UserLocationSerializer(source="*", required=False, allow_null=True)

    class Meta(VmSerializer.Meta):
        fields = (*VmSerializer.Meta.fields, "provider_instance_id", "provider_metadata", "user_location")


def vm_serializer(principal: Principal) -> type[VmSerializer]:
    """What of a VM is said to somebody."""
    return StaffVmSerializer if principal.is_staff else VmSerializer


class VmQuerySerializer(StrictSerializer):
    """The query string of a list of VMs."""

    user_id = UserField(required=False)
    status = StrictChoiceField(choices=STATUSES, required=False)
    console_type = StrictChoiceField(choices=ConsoleType.choices, required=False)
    provider = StrictChoiceField(choices=PROVIDERS, required=False)
    project_id = ProjectField(required=False)
    created_after = StrictDateTimeField(required=False)
    created_before = StrictDateTimeField(required=False)
    ordering = StrictChoiceField(choices=ORDERINGS, default="-created_at")

    def filters(self) -> VmFilters:
        """What was asked, for `queries.visible_vms`."""
        given = {name: value for name, value in self.validated_data.items() if name != "ordering"}
        if "status" in given:
            given["status"] = Status(given["status"])
        return cast(VmFilters, given)


class VmStatusSerializer(serializers.Serializer[Any]):
    """The light view, for looking often."""

    vm_id = serializers.UUIDField(source="id")
    status = serializers.ChoiceField(STATUSES)
    ip_address = TextOrNull()
    uptime_seconds = serializers.SerializerMethodField(help_text="Since it last became running; else null.")
    last_activity = serializers.DateTimeField(allow_null=True)
    gaming_environment_ready = serializers.BooleanField()

    def get_uptime_seconds(self, vm: VM) -> int | None:
        if vm.phase != Phase.READY:
            return None
        return max(0, int((timezone.now() - vm.phase_since).total_seconds()))


class PortsSerializer(serializers.Serializer[Any]):
    """Wolf's fixed ports, the same inside and out."""

    tcp = serializers.ListField(child=serializers.IntegerField())
    udp = serializers.ListField(child=serializers.IntegerField())


class ConnectionSerializer(serializers.Serializer[Any]):
    """Where Moonlight connects. `reason` says why it cannot yet; null when it can."""

    vm_id = serializers.UUIDField(source="id")
    status = serializers.ChoiceField(STATUSES)
    is_reachable = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    ip_address = TextOrNull()
    wolf_port = serializers.SerializerMethodField()
    ports = serializers.SerializerMethodField()

    def get_is_reachable(self, vm: VM) -> bool:
        return self.get_reason(vm) is None

    def get_reason(self, vm: VM) -> str | None:
        if vm.status is not Status.RUNNING:
            return f"The VM is {vm.status}."
        return None if vm.ip_address else "The machine has no address yet."

    def get_wolf_port(self, vm: VM) -> int:
        return CONTROL_PORT

    @extend_schema_field(PortsSerializer)
    def get_ports(self, vm: VM) -> dict[str, list[int]]:
        return {"tcp": list(TCP_PORTS), "udp": list(UDP_PORTS)}


class ExtensionSerializer(MessageSerializer):
    session_ends_at = serializers.DateTimeField()
