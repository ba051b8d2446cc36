"""A site of a few views that use what gamer.web offers, next to the product's own paths."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import InterfaceError, OperationalError, connection, transaction
from django.http import Http404, HttpRequest
from django.urls import include, path
from rest_framework import exceptions, generics
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Department
from events.api.serializers import EventSerializer
from events.models import Event
from gamer import errors
from gamer.web import errors as web_errors
from gamer.web.idempotency import run_once
from gamer.web.parsers import GzipParser
from gamer.web.reading import bytes_of
from gamer.web.routing import route
from gamer.web.serializers import (
    LatitudeField,
    MoneyField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictDateTimeField,
    StrictFloatField,
    StrictIntegerField,
    StrictSerializer,
    query_values,
)


class PlaceSerializer(StrictSerializer):
    latitude = LatitudeField()
    name = StrictCharField(required=False)


class ThingSerializer(StrictSerializer):
    name = StrictCharField(max_length=50, required=False)
    count = StrictIntegerField(min_value=0, max_value=1000, required=False)
    weight = StrictFloatField(required=False)
    price = MoneyField(required=False)
    is_new = StrictBooleanField(required=False)
    kind = StrictChoiceField(choices=["a", "b"], required=False)
    at = StrictDateTimeField(required=False)
    place = PlaceSerializer(required=False)
    id = StrictIntegerField(read_only=True)


class ThingView(APIView):
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        thing = ThingSerializer(data=query_values(request.query_params), from_text=True)
        thing.is_valid(raise_exception=True)
        return Response(thing.data)

    def post(self, request: Request) -> Response:
        thing = ThingSerializer(data=request.data)
        thing.is_valid(raise_exception=True)
        return Response({**thing.data, "price_read": str(thing.validated_data.get("price"))})


class EchoView(APIView):
    """Touches no database."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    def post(self, request: Request) -> Response:
        return Response(request.data)


class EventList(generics.ListAPIView):
    permission_classes = (AllowAny,)
    serializer_class = EventSerializer

    def get_queryset(self) -> Any:
        asked = self.request.query_params
        events = (Event.timeline if "changes" in asked else Event.objects).all()
        return events.order_by(*asked["order"].split(",")) if asked.get("order") else events


class OnceView(APIView):
    """Makes a department; `fail` says how it goes wrong after that."""

    def post(self, request: Request) -> Response:
        return run_once(request, lambda: self.make(request))

    def make(self, request: Request) -> Response:
        department = Department.objects.create(name=request.data["name"])
        if request.data.get("fail") == "raise":
            raise errors.NoCapacity("Nobody can host it.")
        if request.data.get("fail") == "answer":
            return Response(web_errors.error_body("no_capacity", "Nobody."), status=503)
        return Response({"name": department.name, "id": department.pk}, 201, headers={"Location": "/made"})


def refused_value() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 10::numeric(1)")


def same_name_twice() -> None:
    with transaction.atomic():
        Department.objects.create(name="Twins")
        Department.objects.create(name="Twins")


def raiser(exception: Exception) -> Any:
    def fail() -> None:
        raise exception

    return fail


FAULTS = {
    "gamer": raiser(errors.InsufficientCredits("No money.", details={"user_id": ["poor"]})),
    "later": raiser(errors.Unavailable("Later.", retry_after=7)),
    "missing": raiser(Http404()),
    "denied": raiser(PermissionDenied()),
    "invalid": raiser(ValidationError({"name": ["bad"], "__all__": ["worse"]})),
    "plain": raiser(ValidationError("bad")),
    "nested": raiser(exceptions.ValidationError({"a": {"b": ["bad"]}, "c": [{}, {"d": ["worse"]}]})),
    "throttled": raiser(exceptions.Throttled(wait=3)),
    "suspicious": raiser(SuspiciousOperation()),
    "away": raiser(OperationalError("gone")),
    "cut": raiser(InterfaceError("gone")),
    "refused": refused_value,
    "twice": same_name_twice,
    "gone": lambda: Department.objects.get(pk=0),
    "secretive": raiser(RuntimeError("the vendor said gk_abcd1234_" + "s" * 43)),
    "ours": raiser(RuntimeError("a fault of ours")),
}


class FaultView(APIView):
    permission_classes = (AllowAny,)

    def get(self, request: Request, kind: str) -> Response:
        FAULTS[kind]()
        return Response()


def plain_fault(request: HttpRequest, kind: str) -> None:
    FAULTS[kind]()


class PackedView(APIView):
    """Takes larger bodies than others, from whoever says the word."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    parser_classes = (GzipParser,)
    max_body = 3_000_000

    def post(self, request: Request) -> Response:
        if "word" not in request.query_params:
            raise exceptions.PermissionDenied
        return Response({"bytes": len(bytes_of(request, "packed"))})


urlpatterns = [
    route("test/things", ThingView.as_view()),
    route("test/echo", EchoView.as_view()),
    route("test/packed", PackedView.as_view()),
    route("test/events", EventList.as_view()),
    route("test/once", OnceView.as_view()),
    route("test/faults/<kind>", FaultView.as_view()),
    route("test/plain/<kind>", plain_fault),
    path("admin/plain/<kind>", plain_fault),
    path("", include("gamer.urls")),
]
handler400 = "gamer.web.errors.bad_request"
handler403 = "gamer.web.errors.permission_denied"
handler404 = "gamer.web.errors.page_not_found"
handler500 = "gamer.web.errors.server_error"
