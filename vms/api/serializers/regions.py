"""Regions of clouds, as the API says them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from gamer.web.serializers import (
    LatitudeField,
    LongitudeField,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
)
from locations.models import Region
from locations.regions import Method, NearRegion
from vms.api.serializers.machines import TextOrNull
from vms.api.serializers.wishes import LocationSerializer

MOST = 100
DEFAULT_MOST = 5
METHODS = [(one.value, one.value) for one in Method]


class ClosestRegionQuerySerializer(StrictSerializer):
    """Where somebody is, and how many regions they want to hear of."""

    user_latitude = LatitudeField()
    user_longitude = LongitudeField()
    use_location_finder = StrictBooleanField(
        default=True, help_text="By latency where Google's Location Finder has answered; false: by distance."
    )
    limit = StrictIntegerField(
        default=DEFAULT_MOST, min_value=1, max_value=MOST, help_text="So many regions, the closest included."
    )


class NearRegionSerializer(serializers.Serializer[NearRegion]):
    """A region. `source` says what put it at this place in the list; the distance is as the crow flies."""

    region_code = serializers.CharField(source="region.code")
    region_name = serializers.CharField(source="region.name")
    distance_km = serializers.FloatField()
    # The contract's name; REST framework takes it out of the class, so it hides nothing.
    source = serializers.ChoiceField(METHODS)  # type: ignore[assignment]


class NearbyRegionsSerializer(serializers.Serializer[Any]):
    """`method` is the closest region's source. `closest_region` is null for a cloud without regions on the map."""

    user_location = LocationSerializer()
    method = serializers.ChoiceField(METHODS)
    closest_region = NearRegionSerializer(allow_null=True)
    alternatives = NearRegionSerializer(many=True)


class RegionSerializer(serializers.Serializer[Region]):
    """A region of the catalogue. Coordinates are degrees; null where it is on no map."""

    region_code = serializers.CharField(source="code")
    region_name = serializers.CharField(source="name")
    city = TextOrNull()
    state = TextOrNull()
    country = TextOrNull()
    country_code = TextOrNull(help_text="ISO 3166-1, two capitals.")
    latitude = serializers.FloatField(allow_null=True)
    longitude = serializers.FloatField(allow_null=True)
    gpu_models = serializers.ListField(child=serializers.CharField())


class RegionsSerializer(serializers.Serializer[Any]):
    total_regions = serializers.IntegerField()
    regions_by_continent = serializers.DictField(child=RegionSerializer(many=True))
