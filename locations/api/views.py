from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gamer.web.serializers import query_values
from locations import services
from locations.api.serializers import PlaceSerializer, SearchSerializer


class LocationSearchView(APIView):
    """Cities by the beginning of their name, for a player to say where they are."""

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
        query = SearchSerializer(data=query_values(request.query_params), from_text=True)
        query.is_valid(raise_exception=True)
        found = services.search_places(**query.validated_data)
        return Response(PlaceSerializer(found, many=True).data)
