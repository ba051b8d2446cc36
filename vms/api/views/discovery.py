"""What could be had right now: `/launch/vm/optimal-for`, `/launch/hostnodes`, `/launch/locations`, `/config/providers`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from billing.services import prices
from billing.sight import sight_of
from gamer.web.reading import ListView, expect_no_filters, query_of
from gamer.web.schema import errors
from vms import discovery, provider_states
from vms.api import examples
from vms.api.serializers.discovery import (
    ClosestQuerySerializer,
    ClosestSerializer,
    ConsoleSerializer,
    HostnodeQuerySerializer,
    HostnodesSerializer,
    OptimalQuerySerializer,
    ProviderSerializer,
    RecommendationSerializer,
    SummarySerializer,
)

TAGS = ["discovery"]


def _share(request: Request) -> Decimal:
    """What is put on the providers' prices for who asks: nothing for those who may see them, our margin for everybody else."""
    if sight_of(principal_of(request)).shows_cost:
        return Decimal(0)
    return prices.share_of(timezone.now())


def _hostnodes(request: Request, asked: Mapping[str, Any]) -> list[discovery.Hostnode]:
    share = _share(request)
    found = discovery.hostnodes(
        console=asked.get("console_type"), min_gpus=asked["min_gpu_count"], now=timezone.now()
    )
    return [discovery.charged(one, share) for one in found]


class OptimalView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_optimal_vm",
        tags=TAGS,
        parameters=[OptimalQuerySerializer],
        responses=RecommendationSerializer,
        examples=[examples.RECOMMENDATION],
    )
    def get(self, request: Request, console_type: str) -> Response:
        """What a launch of this console would pick now, the next best, and why not the rest. Buys nothing."""
        console = ConsoleSerializer(data={"console_type": console_type})
        console.is_valid(raise_exception=True)
        asked = query_of(request, OptimalQuerySerializer).validated_data
        found = discovery.recommend(
            console=console_type,
            latitude=asked.get("user_latitude"),
            longitude=asked.get("user_longitude"),
            limit=asked["limit"],
            now=timezone.now(),
        )
        if not sight_of(principal_of(request)).shows_cost:
            found = discovery.charged_recommendation(found, _share(request))
        return Response(RecommendationSerializer(found).data)


class HostnodesView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="list_available_hostnodes",
        tags=TAGS,
        parameters=[HostnodeQuerySerializer],
        responses={200: HostnodesSerializer, **errors(404)},
        examples=[examples.HOSTNODES],
    )
    def get(self, request: Request) -> Response:
        """Hardware that can be bought now, the cheapest first."""
        asked = query_of(request, HostnodeQuerySerializer).validated_data
        found = _hostnodes(request, asked)
        return Response(HostnodesSerializer({"total_hostnodes": len(found), "hostnodes": found}).data)


class ClosestHostnodesView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="list_closest_hostnodes",
        tags=TAGS,
        parameters=[ClosestQuerySerializer],
        responses={200: ClosestSerializer, **errors(404)},
        examples=[examples.CLOSEST],
    )
    def get(self, request: Request) -> Response:
        """The hardware nearest to a place that can be bought now."""
        asked = query_of(request, ClosestQuerySerializer).validated_data
        latitude, longitude = asked["user_latitude"], asked["user_longitude"]
        fitting = _hostnodes(request, asked)
        nearby = discovery.nearest(fitting, latitude=latitude, longitude=longitude, limit=asked["limit"])
        answer = {
            "user_location": {"latitude": latitude, "longitude": longitude},
            "total_found": len(fitting),
            "closest_hostnodes": [
                {"hostnode": node, "distance_km": kilometres, "location": node.location_name}
                for node, kilometres in nearby
            ],
        }
        return Response(ClosestSerializer(answer).data)


class LocationSummaryView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_location_summary",
        tags=TAGS,
        responses=SummarySerializer,
        examples=[examples.SUMMARY],
    )
    def get(self, request: Request) -> Response:
        """Where hardware can be bought now, by country and city."""
        return Response(SummarySerializer(discovery.summary(discovery.hostnodes(now=timezone.now()))).data)


class ProvidersView(ListView):
    permission_classes = (needs(Scope.CONFIG),)
    filter_backends = ()

    @extend_schema(
        operation_id="list_providers",
        tags=["configuration"],
        responses=ProviderSerializer(many=True),
        examples=[examples.PROVIDER],
    )
    def get(self, request: Request) -> Response:
        """Every kind of provider: what it can do, where, at which prices, and how its accounts are."""
        expect_no_filters(request)
        share = _share(request)
        found = [provider_states.charged(one, share) for one in provider_states.providers(timezone.now())]
        return self.page(found, ProviderSerializer)
