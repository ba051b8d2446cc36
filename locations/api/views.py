from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from gamer.web.reading import ListView, filters_of
from locations import services
from locations.api.serializers import PlaceSerializer, SearchSerializer


class LocationSearchView(ListView):
    """Cities by the beginning of their name, for a player to say where they are. No secret of ours, so of no scope."""

    filter_backends = ()

    @extend_schema(
        operation_id="locations_search",
        tags=["locations"],
        parameters=[SearchSerializer],
        responses=PlaceSerializer(many=True),
        examples=[
            OpenApiExample(
                "Dallas, Texas",
                value={
                    "name": "Dallas",
                    "state": "Texas",
                    "country": "United States",
                    "country_code": "US",
                    "latitude": 32.78306,
                    "longitude": -96.80667,
                    "population": 1302868,
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """The cities with the most people first, without regard to case and accents. Names in other languages count."""
        asked = filters_of(request, SearchSerializer).validated_data
        return self.page(services.places_named(**asked), PlaceSerializer)
