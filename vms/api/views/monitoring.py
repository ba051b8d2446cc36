"""`/monitoring/vms/{id}`: how a VM's machine is doing. Whose VM it is decides vms, what is known of it monitoring."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from gamer.web.reading import query_of
from monitoring import queries as measured
from monitoring.measures import NAMES
from vms import queries
from vms.api import examples
from vms.api.serializers.monitoring import (
    MEANINGS,
    MetricsSerializer,
    MetricsSummarySerializer,
    MetricsTrendsSerializer,
    SeriesQuerySerializer,
    TrendsQuerySerializer,
    WindowSerializer,
    series_answer,
    summary_answer,
    trends_answer,
)

TAGS = ["monitoring"]


class VmMetricsView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_vm_metrics",
        tags=TAGS,
        description=f"What the VM's agent measured, in steps of a window up to now. Metrics:\n\n{MEANINGS}",
        parameters=[SeriesQuerySerializer],
        responses=MetricsSerializer,
        examples=[examples.METRICS],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """What the VM's agent measured, in steps of a window up to now."""
        asked = query_of(request, SeriesQuerySerializer).validated_data
        vm = queries.find_light(principal_of(request), vm_id)
        span = measured.span(window=asked["window"], step=asked.get("step"), now=timezone.now())
        known = measured.series(
            subject=vm.pk, span=span, aggregate=asked["aggregate"], names=asked.get("metrics", NAMES)
        )
        return Response(series_answer(vm.pk, known))


class VmSummaryView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_vm_metrics_summary",
        tags=TAGS,
        parameters=[WindowSerializer],
        responses=MetricsSummarySerializer,
        examples=[examples.METRICS_SUMMARY],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """The latest values, and means and peaks of a window up to now."""
        window = query_of(request, WindowSerializer).validated_data["window"]
        vm = queries.find_light(principal_of(request), vm_id)
        span = measured.span(window=window, step=None, now=timezone.now())
        return Response(summary_answer(vm.pk, measured.summary(subject=vm.pk, span=span)))


class VmTrendsView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_vm_metrics_trends",
        tags=TAGS,
        parameters=[TrendsQuerySerializer],
        responses=MetricsTrendsSerializer,
        examples=[examples.METRICS_TRENDS],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """Where values are heading, and when the disk is full."""
        window = query_of(request, TrendsQuerySerializer).validated_data["window"]
        vm = queries.find_light(principal_of(request), vm_id)
        span = measured.span(window=window, step=None, now=timezone.now())
        return Response(trends_answer(vm.pk, measured.trends(subject=vm.pk, span=span)))
