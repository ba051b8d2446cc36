"""`/launch/game` and `/launch/vm/{id}/game`: a game is to be played."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from accounts.services import resolve_owner
from gamer.errors import bad_field
from gamer.web.idempotency import run_once
from gamer.web.reading import body_of, query_of
from gamer.web.schema import IDEMPOTENCY_KEY, LOCATION, errors
from vms import queries, services
from vms.api import examples
from vms.api.serializers.machines import StaffVmSerializer
from vms.api.serializers.story import SessionMessageSerializer
from vms.api.serializers.wishes import (
    GameLaunchQuerySerializer,
    GameLaunchSerializer,
    GameOnVmSerializer,
)
from vms.api.views.machines import vm_answer

TAGS = ["launch"]


def _asked(request: Request) -> GameLaunchSerializer:
    """The wish from the body, or from the query string when there is no body. Raises ValidationError."""
    body, names = request.data, list(request.query_params)
    if isinstance(body, Mapping) and not body:
        return query_of(request, GameLaunchSerializer)
    if names:
        raise bad_field(names[0][:100], "Ask by body or by query string, not by both.")
    return body_of(request, GameLaunchSerializer)


class LaunchGameView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="launch_game",
        tags=TAGS,
        parameters=[IDEMPOTENCY_KEY, LOCATION, GameLaunchQuerySerializer],
        request=GameLaunchSerializer,
        responses={200: StaffVmSerializer, 201: StaffVmSerializer, **errors(402, 404, 409, 503)},
        examples=[examples.GAME_LAUNCH, examples.VM, examples.VM_CREATING, *examples.LAUNCH_ERRORS],
    )
    def post(self, request: Request) -> Response:
        """Plays a game, on the player's VM of that console (200) or on a new one (201).

        A VM that is being made or runs is used again, a stopped one is started. Ask by JSON body or by query string, not by
        both; `console_type` and `game_id` are needed either way.
        """
        asked, by = _asked(request), principal_of(request)

        def answer() -> Response:
            owner = resolve_owner(by, asked.user_id_given)
            made = services.launch_game(by=by, owner=owner, order=asked.order(), now=timezone.now())
            return vm_answer(request, made.vm.pk, 201 if made.is_new else 200)

        return run_once(request, answer)


class LaunchOnVmView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="launch_game_on_vm",
        tags=TAGS,
        request=GameOnVmSerializer,
        responses={202: SessionMessageSerializer, **errors(409)},
        examples=[examples.GAME_ON_VM, examples.GAME_QUEUED],
    )
    def post(self, request: Request, vm_id: str) -> Response:
        """Launches a game on a VM that runs. Another game there is replaced; the same one goes on."""
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        asked = body_of(request, GameOnVmSerializer).validated_data
        session = services.launch_on(
            vm=vm, by=by, game_id=asked["game_id"], save_id=asked.get("save_id") or "", now=timezone.now()
        )
        return Response({"message": "Game launch queued", "session_id": session.pk}, status=202)
