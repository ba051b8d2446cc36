"""The paths that belong to nobody else: who we are, how we are, and the API's description."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from django.views.generic import RedirectView
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, inline_serializer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gamer.web import health, metrics
from gamer.web.errors import error_body
from gamer.web.navigation import favicon
from gamer.web.schema import errors
from gamer.web.throttles import client_ip

SERVICE = "provisioner-api"


def _said(title: str, value: Any) -> OpenApiExample:
    return OpenApiExample(title, value=value, response_only=True, status_codes=["200"])


class FaviconView(RedirectView):
    """The tab's picture, where browsers look for one by themselves."""

    def get_redirect_url(self, *args: Any, **kwargs: Any) -> str:
        return favicon(self.request)


class IdentityView(APIView):
    """Who answers here."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="identity",
        tags=["service"],
        responses=inline_serializer(
            "Identity", {"message": serializers.CharField(), "version": serializers.CharField()}
        ),
        examples=[_said("It is us", {"message": "Gamer Provisioner API", "version": "1.0.0"})],
    )
    def get(self, request: Request) -> Response:
        return Response({"message": "Gamer Provisioner API", "version": settings.VERSION})


class HealthView(APIView):
    """Alive, or with `full=1` every part; a part that is not well makes it a 503 that names the part."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="health",
        tags=["service"],
        parameters=[OpenApiParameter("full", bool, description="Look at every part (staff, or any key).")],
        responses={
            200: inline_serializer(
                "Health",
                {
                    "status": serializers.CharField(),
                    "service": serializers.CharField(),
                    "parts": serializers.DictField(required=False),
                },
            ),
            **errors(401, 403, 503),
        },
        examples=[
            _said("Alive", {"status": "healthy", "service": SERVICE}),
            _said(
                "Every part, of which two are shown",
                {
                    "status": "healthy",
                    "service": SERVICE,
                    "parts": {
                        "database": {"problem": "", "figures": {"version": "16.4", "latency_ms": 0.42}},
                        "queue": {"problem": "", "figures": {"oldest_due_s": 0}},
                    },
                },
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        if request.query_params.get("full", "0").lower() not in ("1", "true"):
            return Response({"status": "healthy", "service": SERVICE})
        principal = getattr(request, "principal", None)
        if principal is None:
            raise NotAuthenticated
        if not (principal.is_staff or principal.key is not None):
            self.permission_denied(request)
        return full_answer(health.look(timezone.now()))

    def perform_authentication(self, request: Request) -> None:
        """Only the full look asks who asks: liveness must not need a database."""
        if "full" in request.query_params:
            super().perform_authentication(request)


def full_answer(parts: list[health.Part]) -> Response:
    found = {part.name: {key: one for key, one in asdict(part).items() if key != "name"} for part in parts}
    ill = {part.name: [part.problem] for part in parts if part.problem}
    body: dict[str, Any] = {"status": "unhealthy" if ill else "healthy", "service": SERVICE, "parts": found}
    if not ill:
        return Response(body)
    message = "; ".join(f"{name}: {texts[0]}" for name, texts in ill.items())
    return Response({**error_body("unavailable", message, ill), **body}, status=503)


class MetricsView(APIView):
    """For Prometheus: staff, a key of staff's with `read`, or a network of METRICS_ALLOWED_NETWORKS, which needs neither."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="metrics",
        tags=["service"],
        responses={(200, "text/plain"): OpenApiTypes.STR, **errors(401, 403, 503)},
    )
    def get(self, request: Request) -> HttpResponse:
        """Prometheus' text format."""
        if not _is_in(client_ip(request), settings.METRICS_ALLOWED_NETWORKS):
            principal = getattr(request, "principal", None)
            if principal is None:
                raise NotAuthenticated
            is_of_staff = principal.key is not None and principal.key.maker.is_staff and principal.may("read")
            if not (principal.is_staff or is_of_staff):
                self.permission_denied(request)
        answer = HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def perform_authentication(self, request: Request) -> None:
        """Who scrapes from an allowed network is asked nothing: the web's counters are there without a database."""
        if not _is_in(client_ip(request), settings.METRICS_ALLOWED_NETWORKS):
            super().perform_authentication(request)


def _is_in(address: str, networks: list[str]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)


@cache
def description(urlconf: str) -> dict[str, Any]:
    """The API in OpenAPI 3. It takes a second of processor, and is the same for everybody: nobody shall make us do it again and again."""
    generator = SchemaGenerator(urlconf=urlconf)  # type: ignore[no-untyped-call]
    return dict(generator.get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


class DescribedOnce(SchemaGenerator):
    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:
        return description(settings.ROOT_URLCONF)


@extend_schema(exclude=True)
class SchemaView(SpectacularAPIView):
    """OpenAPI 3, JSON unless YAML is asked for."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer]
    generator_class = DescribedOnce


class DocsView(SpectacularSwaggerView):
    """Swagger UI from our own static files."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    url_name = "schema"
