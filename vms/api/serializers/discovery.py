"""What could be had right now, as the API says it. Memory in MB where the name says `ram`, in GB where it says `ram_gb`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from emulators.models import MAX_GPUS, ConsoleType
from gamer.web.serializers import (
    LatitudeField,
    LongitudeField,
    MoneyField,
    StrictChoiceField,
    StrictIntegerField,
    StrictSerializer,
)
from vms.api.serializers.machines import TextOrNull
from vms.api.serializers.wishes import LocationSerializer, PositionSerializer
from vms.discovery import Hostnode, Option, Recommendation
from vms.health import Condition

MOST = 100
DEFAULT_MOST = 10
SCORE = (
    "USD per hour: the provider's price, and what the distance is worth; the least is tried first. Null where priorities "
    "decide, on no map, and for who is not told what providers ask."
)


class ConsoleSerializer(StrictSerializer):
    """The console in a path."""

    console_type = StrictChoiceField(choices=ConsoleType.choices)


class OptimalQuerySerializer(PositionSerializer):
    """Where the player is, and how many fitting offers to show."""

    limit = StrictIntegerField(default=DEFAULT_MOST, min_value=1, max_value=MOST)


class HostnodeQuerySerializer(StrictSerializer):
    """Which hostnodes; for a console those that a launch may take, at what it would pay."""

    min_gpu_count = StrictIntegerField(default=0, min_value=0, max_value=MAX_GPUS)
    console_type = StrictChoiceField(choices=ConsoleType.choices, required=False)


class ClosestQuerySerializer(HostnodeQuerySerializer):
    """Which hostnodes, near which place."""

    user_latitude = LatitudeField()
    user_longitude = LongitudeField()
    limit = StrictIntegerField(default=DEFAULT_MOST, min_value=1, max_value=MOST)


class GpuSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    count = serializers.IntegerField()


class SpecsSerializer(serializers.Serializer[Hostnode]):
    """The most that can be bought there."""

    cpu = serializers.IntegerField(source="vcpus")
    ram = serializers.IntegerField(source="ram_mb", help_text="MB")
    gpu = serializers.SerializerMethodField()
    storage = serializers.IntegerField(source="disk_gb", help_text="GB")

    @extend_schema_field(GpuSerializer(many=True))
    def get_gpu(self, node: Hostnode) -> list[dict[str, Any]]:
        return [{"model": node.gpu_model, "count": node.gpu_count}] if node.gpu_count else []


class HostnodeSerializer(serializers.Serializer[Hostnode]):
    """Hardware at one place that can be bought now."""

    id = serializers.CharField()
    provider = serializers.CharField()
    city = TextOrNull()
    state = TextOrNull()
    region = serializers.CharField()
    country = TextOrNull()
    specs = SpecsSerializer(source="*")
    status = serializers.SerializerMethodField(help_text="Others are not listed.")
    price_per_hour = MoneyField(source="usd_per_hour", help_text="Of the smallest size, or the console's.")

    @extend_schema_field(serializers.ChoiceField([("available", "available")]))
    def get_status(self, node: Hostnode) -> str:
        return "available"


class HostnodesSerializer(serializers.Serializer[Any]):
    total_hostnodes = serializers.IntegerField()
    hostnodes = HostnodeSerializer(many=True)


class NearbySerializer(serializers.Serializer[Any]):
    """`distance_km` is null for what is on no map."""

    hostnode = HostnodeSerializer()
    distance_km = serializers.FloatField(allow_null=True)
    location = serializers.CharField()


class ClosestSerializer(serializers.Serializer[Any]):
    """`total_found` counts those that fit, not only those that are shown."""

    user_location = LocationSerializer()
    total_found = serializers.IntegerField()
    closest_hostnodes = NearbySerializer(many=True)


class CityCountSerializer(serializers.Serializer[Any]):
    city = TextOrNull()
    state = TextOrNull()
    region = TextOrNull(help_text="Null where providers call it differently.")
    hostnodes = serializers.IntegerField()
    gpu_models = serializers.ListField(child=serializers.CharField())


class CountryCountSerializer(serializers.Serializer[Any]):
    country = TextOrNull()
    hostnodes = serializers.IntegerField()
    gpu_models = serializers.ListField(child=serializers.CharField())
    cities = CityCountSerializer(many=True)


class SummarySerializer(serializers.Serializer[Any]):
    total_hostnodes = serializers.IntegerField()
    total_cities = serializers.IntegerField()
    countries = CountryCountSerializer(many=True)


class RequirementsSerializer(serializers.Serializer[Any]):
    min_cpu = serializers.IntegerField(source="vcpus")
    min_ram_gb = serializers.IntegerField(source="ram_gb")
    requires_gpu = serializers.BooleanField(source="gpus")


class OptionSerializer(serializers.Serializer[Option]):
    """An offer a launch may take, in the size it would take; or how many come later or may not, and why (then `rank` is null)."""

    rank = serializers.IntegerField(allow_null=True)
    provider = serializers.CharField()
    reason = serializers.CharField(help_text="`fits`, or why not.")
    offers = serializers.IntegerField()
    hostnode_id = serializers.CharField(source="hostnode.id", allow_null=True)
    region = serializers.CharField(source="hostnode.region", allow_null=True)
    location_name = serializers.CharField(source="hostnode.location_name", allow_null=True)
    gpu_model = TextOrNull(source="hostnode.gpu_model")
    preset = serializers.CharField(source="choice.preset", allow_null=True)
    gpus = serializers.IntegerField(source="choice.gpus", allow_null=True)
    vcpus = serializers.IntegerField(source="choice.vcpus", allow_null=True)
    ram_gb = serializers.IntegerField(source="choice.ram_gb", allow_null=True)
    disk_gb = serializers.IntegerField(source="choice.disk_gb", allow_null=True)
    cost_per_hour = MoneyField(source="choice.usd_per_hour", allow_null=True)
    distance_km = serializers.FloatField(source="choice.distance_km", allow_null=True)
    score = MoneyField(source="choice.score", allow_null=True, help_text=SCORE)


class RecommendationSerializer(serializers.Serializer[Recommendation]):
    """What a launch would pick. `recommended_provider` is null when nobody can host the console now."""

    console_type = serializers.ChoiceField(ConsoleType.choices, source="profile.console")
    recommended_provider = serializers.CharField(source="provider", allow_null=True)
    preset = serializers.CharField()
    estimated_cost_per_hour = MoneyField(source="usd_per_hour", allow_null=True)
    max_session_hours = serializers.IntegerField(source="profile.max_session_hours")
    requirements = RequirementsSerializer(source="profile.floor")
    options = OptionSerializer(many=True)


class RegionCountSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    city = TextOrNull()
    state = TextOrNull()
    country = TextOrNull()
    offers = serializers.IntegerField()


class PriceRangeSerializer(serializers.Serializer[Any]):
    min_per_hour = MoneyField(source="cheapest_usd_per_hour")
    max_per_hour = MoneyField(source="dearest_usd_per_hour")


class ProviderHealthSerializer(serializers.Serializer[Any]):
    """`status` is that of the best account; null without an account."""

    status = serializers.ChoiceField(
        [(one.value, one.value) for one in Condition], source="condition", allow_null=True
    )
    accounts = serializers.IntegerField()
    healthy_accounts = serializers.IntegerField()
    offers_refreshed_at = serializers.DateTimeField(allow_null=True)


class ProviderSerializer(serializers.Serializer[Any]):
    """A kind of provider. Without capabilities there is no adapter for it yet."""

    provider = serializers.CharField(source="kind")
    display_name = serializers.CharField()
    capabilities = serializers.ListField(child=serializers.CharField())
    health = ProviderHealthSerializer(source="*")
    offers = serializers.IntegerField()
    regions = RegionCountSerializer(many=True)
    price_range = serializers.SerializerMethodField()

    @extend_schema_field(PriceRangeSerializer(allow_null=True))
    def get_price_range(self, state: Any) -> dict[str, Any] | None:
        return dict(PriceRangeSerializer(state).data) if state.cheapest_usd_per_hour is not None else None
