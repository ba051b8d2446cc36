"""What happened to one VM and how it is doing: `/vms/{id}/status`, `/events`, `/attempts`, `/steps`, `/connection`, games."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from events import kinds
from events.api.serializers import EventSerializer
from events.models import Event
from gamer.web.reading import ListView, body_of, expect_no_filters, expect_nothing, filters_of
from gamer.web.schema import errors
from gamer.web.serializers import MessageSerializer
from gamer.web.throttles import ReadThrottle, WriteThrottle
from vms import pairing, queries, services
from vms.api import examples
from vms.api.serializers.machines import ConnectionSerializer, VmStatusSerializer
from vms.api.serializers.story import (
    AfterSerializer,
    PairedSerializer,
    PairingSerializer,
    PinSerializer,
    SessionSerializer,
    StaffAttemptSerializer,
    StaffStepSerializer,
    attempt_serializer,
    step_serializer,
)
from vms.models import Attempt, GameSession, SetupStep

TAGS = ["vms"]


class VmStatusView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_vm_status", tags=TAGS, responses=VmStatusSerializer, examples=[examples.STATUS]
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """How a VM is doing, for looking often."""
        return Response(VmStatusSerializer(queries.find_light(principal_of(request), vm_id)).data)


class VmConnectionView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_vm_connection",
        tags=TAGS,
        responses=ConnectionSerializer,
        examples=[examples.CONNECTION],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """Where Moonlight connects, and whether it can."""
        return Response(ConnectionSerializer(queries.find_light(principal_of(request), vm_id)).data)


class PairingThrottle(ReadThrottle):
    rate_name = "pairing"


class VmPairingView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)
    throttle_classes = (WriteThrottle, PairingThrottle)

    @extend_schema(
        operation_id="get_vm_pairing",
        tags=TAGS,
        responses={200: PairingSerializer, **errors(400, 429, 503)},
        examples=[examples.PAIRING],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """Which Moonlights wait for their PIN: add the VM's address there, and look here."""
        vm = queries.find_vm(principal_of(request), vm_id)
        return Response(PairingSerializer(pairing.state(vm=vm)).data)

    @extend_schema(
        operation_id="pair_vm",
        tags=TAGS,
        request=PinSerializer,
        responses={200: PairedSerializer, **errors(503)},
        examples=[examples.PIN, examples.PAIRED],
    )
    def post(self, request: Request, vm_id: str) -> Response:
        """Hands over the PIN that Moonlight shows, and says whether the device is paired then."""
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        asked = body_of(request, PinSerializer).validated_data
        return Response(PairedSerializer(pairing.pair(vm=vm, by=by, **asked, now=timezone.now())).data)


class VmEventsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = Event.objects.all()

    @extend_schema(
        operation_id="list_vm_events",
        tags=TAGS,
        description=f"The VM's timeline, oldest first. Actions:\n\n{kinds.described()}",
        parameters=[AfterSerializer],
        responses=EventSerializer(many=True),
        examples=[examples.EVENT],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """The VM's timeline, oldest first."""
        asked = filters_of(request, AfterSerializer).validated_data
        vm = queries.find_light(principal_of(request), vm_id)
        return self.page(queries.events_of(vm, **asked), EventSerializer)


class VmAttemptsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = Attempt.objects.all()

    @extend_schema(
        operation_id="list_vm_attempts",
        tags=TAGS,
        responses=StaffAttemptSerializer(many=True),
        examples=[examples.ATTEMPT],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """The offers that were tried for a VM, and why each failed."""
        expect_no_filters(request)
        principal = principal_of(request)
        vm = queries.find_light(principal, vm_id)
        return self.page(queries.attempts_of(vm), attempt_serializer(principal))


class VmStepsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = SetupStep.objects.all()

    @extend_schema(
        operation_id="list_vm_steps",
        tags=TAGS,
        responses=StaffStepSerializer(many=True),
        examples=[examples.STEP],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """How far the machine is on its way to a console."""
        expect_no_filters(request)
        principal = principal_of(request)
        vm = queries.find_light(principal, vm_id)
        return self.page(queries.steps_of(vm), step_serializer(principal))


class VmSessionsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = GameSession.objects.all()

    @extend_schema(
        operation_id="list_vm_sessions",
        tags=["sessions"],
        responses=SessionSerializer(many=True),
        examples=[examples.SESSION],
    )
    def get(self, request: Request, vm_id: str) -> Response:
        """The games asked for on a VM, the newest first."""
        expect_no_filters(request)
        vm = queries.find_light(principal_of(request), vm_id)
        return self.page(queries.sessions_of(vm), SessionSerializer)


class SessionView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_session",
        tags=["sessions"],
        responses=SessionSerializer,
        examples=[examples.SESSION],
    )
    def get(self, request: Request, session_id: str) -> Response:
        """One game on one VM."""
        return Response(SessionSerializer(queries.find_session(principal_of(request), session_id)).data)

    @extend_schema(
        operation_id="end_session",
        tags=["sessions"],
        request=None,
        responses={202: MessageSerializer},
        examples=[examples.message("Session end initiated")],
    )
    def delete(self, request: Request, session_id: str) -> Response:
        """Ends a game; its VM goes on. Safe to repeat."""
        by = principal_of(request)
        session = queries.find_session(by, session_id)
        expect_nothing(request)
        services.end_session(session=session, by=by, now=timezone.now())
        return Response({"message": "Session end initiated"}, status=202)
