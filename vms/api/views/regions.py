"""Where clouds have regions and which is closest: `/launch/{cloud}/regions`. From rows alone."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from gamer.web.reading import query_of
from gamer.web.schema import errors
from locations import regions
from locations.catalogue import CLOUDS
from vms.api import examples
from vms.api.serializers.regions import (
    ClosestRegionQuerySerializer,
    NearbyRegionsSerializer,
    RegionsSerializer,
)

TAGS = ["discovery"]
CLOUD = OpenApiParameter("cloud", str, OpenApiParameter.PATH, enum=list(CLOUDS))


class ClosestRegionView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_closest_region",
        tags=TAGS,
        parameters=[CLOUD, ClosestRegionQuerySerializer],
        responses={200: NearbyRegionsSerializer, **errors(404)},
        examples=[examples.CLOSEST_REGION],
    )
    def get(self, request: Request, cloud: str) -> Response:
        """The regions of a cloud closest to somebody. Asks no cloud: a missing answer of the Location Finder is fetched
        in the background, and distance ranks until it is there."""
        regions.kind_of(cloud)
        asked = query_of(request, ClosestRegionQuerySerializer).validated_data
        latitude, longitude = asked["user_latitude"], asked["user_longitude"]
        found = regions.closest(
            cloud=cloud,
            latitude=latitude,
            longitude=longitude,
            limit=asked["limit"],
            use_location_finder=asked["use_location_finder"],
            now=timezone.now(),
        )
        answer = {
            "user_location": {"latitude": latitude, "longitude": longitude},
            "method": found.method,
            "closest_region": next(iter(found.regions), None),
            "alternatives": found.regions[1:],
        }
        return Response(NearbyRegionsSerializer(answer).data)


class RegionsView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="list_regions",
        tags=TAGS,
        parameters=[CLOUD],
        responses={200: RegionsSerializer, **errors(404)},
        examples=[examples.REGIONS],
    )
    def get(self, request: Request, cloud: str) -> Response:
        """Every region of a cloud, by continent."""
        found = regions.by_continent(cloud=cloud)
        total = sum(map(len, found.values()))
        return Response(RegionsSerializer({"total_regions": total, "regions_by_continent": found}).data)
