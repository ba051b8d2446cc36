"""`/agent`: what the program on a VM tells us. See `vms/setup/agent/uplink.py` for the other end."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from emulators.archives import MAX_PACKED
from gamer.web.parsers import GzipParser
from gamer.web.reading import body_of, bytes_of, query_of
from gamer.web.schema import errors
from gamer.web.throttles import client_ip
from vms import agents
from vms.api import examples, save_examples
from vms.api.authentication import (
    Agent,
    AgentAuthentication,
    AgentSavesThrottle,
    AgentThrottle,
    IsAgent,
    vm_of,
)
from vms.api.serializers.agents import (
    HeartbeatSerializer,
    ManifestSerializer,
    RegistrationSerializer,
    SaveSerializer,
    SessionEventSerializer,
    TakenSerializer,
    TokenSerializer,
    earlier_in,
    measured_in,
    played_in,
    unpacked_in,
)

TAGS = ["agent"]
# Malformed or from the future, of somebody else's, replayed, oversized, of another kind.
REFUSALS = (400, 404, 409, 413, 415)
TAKEN = OpenApiResponse(description="Taken.")


class RegisterView(APIView):
    """Whatever other credentials come along are not looked at. Failures are counted per address, so there is no throttle."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    @extend_schema(
        operation_id="register_agent",
        tags=TAGS,
        request=RegistrationSerializer,
        responses={200: TokenSerializer, **errors(401)},
        examples=[examples.REGISTRATION, examples.AGENT_TOKEN],
    )
    def post(self, request: Request) -> Response:
        """A token for a VM's agent, in exchange for the secret that setup left on the machine. Ends the one before."""
        asked = body_of(request, RegistrationSerializer).validated_data
        token = agents.register(**asked, ip=client_ip(request), now=timezone.now())
        return Response({"token": token}, headers={"Cache-Control": "no-store"})


class _AgentView(APIView):
    authentication_classes = (AgentAuthentication,)
    permission_classes = (IsAgent,)
    throttle_classes = (AgentThrottle,)

    def handle_exception(self, exc: Exception) -> Response:
        """What is refused for what it says is counted: a machine of ours never says such things."""
        answer = super().handle_exception(exc)
        if answer.status_code in REFUSALS and isinstance(self.request.auth, Agent):
            agents.count_refusal(self.request.auth.vm)
        return answer


class HeartbeatView(_AgentView):
    @extend_schema(
        operation_id="agent_heartbeat",
        tags=TAGS,
        request=HeartbeatSerializer,
        responses={204: TAKEN, **errors(409)},
        examples=[examples.HEARTBEAT],
    )
    def post(self, request: Request) -> Response:
        """The machine lives, and somebody plays on it or nobody does. 409 when it was taken before."""
        asked = body_of(request, HeartbeatSerializer).validated_data
        activity = asked.get("activity") or {}
        agents.heartbeat(
            vm=vm_of(request),
            boot_id=asked["boot_id"],
            sequence=asked["sequence"],
            sent_at=asked["sent_at"],
            is_playing=activity.get("is_playing"),
            idle_s=activity.get("idle_s"),
            measured=measured_in(asked),
            played=played_in(asked),
            earlier=earlier_in(asked),
            unpacked=unpacked_in(asked),
            now=timezone.now(),
        )
        return Response(status=204)


class ManifestView(_AgentView):
    @extend_schema(
        operation_id="agent_manifest", tags=TAGS, responses=ManifestSerializer, examples=[examples.MANIFEST]
    )
    def get(self, request: Request) -> Response:
        """What the machine may know of itself, and nothing of any other."""
        return Response(ManifestSerializer(agents.manifest(vm=vm_of(request))).data)


class AgentSessionEventsView(_AgentView):
    @extend_schema(
        operation_id="agent_session_event",
        tags=TAGS,
        request=SessionEventSerializer,
        responses={204: TAKEN},
        examples=[examples.SESSION_EVENT],
    )
    def post(self, request: Request, session_id: str) -> Response:
        """What became of a game on this VM. Told twice, or too late, it changes nothing."""
        asked = body_of(request, SessionEventSerializer).validated_data
        agents.report(vm=vm_of(request), session_id=UUID(session_id), **asked, now=timezone.now())
        return Response(status=204)


class AgentSavesView(_AgentView):
    throttle_classes = (AgentSavesThrottle,)
    parser_classes = (GzipParser,)
    max_body = MAX_PACKED

    @extend_schema(
        operation_id="agent_save",
        tags=TAGS,
        parameters=[SaveSerializer],
        request={"application/gzip": OpenApiTypes.BINARY},
        responses={200: TakenSerializer, **errors(404, 409)},
        examples=[save_examples.TAKEN],
    )
    def put(self, request: Request) -> Response:
        """An archive of a game's saves: a gzip-compressed tar file of at most 64 MiB. Sent again, it is taken once."""
        asked = query_of(request, SaveSerializer).validated_data
        archive = bytes_of(request, "archive")
        slot, taken = agents.take_save(vm=vm_of(request), **asked, archive=archive, now=timezone.now())
        shown = {"slot": slot, "number": taken.number, "is_current": taken.is_current}
        return Response(TakenSerializer(shown).data)
