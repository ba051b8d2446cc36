"""`/config/emulators`, `/config/presets` and `/games`."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from emulators.api import examples
from emulators.api.serializers import (
    EmulatorChangesSerializer,
    EmulatorCreationSerializer,
    EmulatorSerializer,
    GameQuerySerializer,
    GameSerializer,
    PreferenceChangesSerializer,
    PresetSerializer,
)
from emulators.models import Game, Preset
from emulators.services import configs
from gamer.errors import bad_field
from gamer.web.reading import ListView, body_of, expect_no_filters, filters_of
from gamer.web.schema import LOCATION, errors
from gamer.web.serializers import MessageSerializer

TAGS = ["configuration"]


class EmulatorsView(ListView):
    permission_classes = (needs(Scope.CONFIG),)
    queryset = configs.configs()

    @extend_schema(
        operation_id="list_emulators",
        tags=TAGS,
        responses=EmulatorSerializer(many=True),
        examples=[examples.EMULATOR],
    )
    def get(self, request: Request) -> Response:
        """Every configured console, in the order of the consoles."""
        expect_no_filters(request)
        return self.page(self.get_queryset(), EmulatorSerializer)

    @extend_schema(
        operation_id="create_emulator",
        tags=TAGS,
        parameters=[LOCATION],
        request=EmulatorCreationSerializer,
        responses={201: EmulatorSerializer, **errors(409)},
        examples=[examples.CREATION, examples.EMULATOR],
    )
    def post(self, request: Request) -> Response:
        """Configures a console that has no configuration. What is left out takes the value we ship."""
        given = body_of(request, EmulatorCreationSerializer)
        console, changes = given.draft()
        config = configs.create_config(
            console=console, changes=changes, by=principal_of(request), now=timezone.now()
        )
        headers = {"Location": request.build_absolute_uri(f"/config/emulators/{console}")}
        return Response(EmulatorSerializer(config).data, status=201, headers=headers)


class EmulatorView(APIView):
    permission_classes = (needs(Scope.CONFIG),)

    @extend_schema(
        operation_id="get_emulator", tags=TAGS, responses=EmulatorSerializer, examples=[examples.EMULATOR]
    )
    def get(self, request: Request, console_type: str) -> Response:
        """One console's configuration."""
        return Response(EmulatorSerializer(configs.get_config(console=console_type)).data)

    @extend_schema(
        operation_id="update_emulator",
        tags=TAGS,
        request=EmulatorChangesSerializer,
        responses=EmulatorSerializer,
        examples=[examples.CHANGES, examples.SCORE, examples.EMULATOR],
    )
    def put(self, request: Request, console_type: str) -> Response:
        """Changes what is named, from the next launch on. A given list of providers replaces the old one."""
        given = body_of(request, EmulatorChangesSerializer)
        named, changes = given.draft()
        if named and named != console_type:
            raise bad_field(
                "console_type", f"The path says {console_type}; a configuration does not change consoles."
            )
        config = configs.update_config(
            console=console_type, changes=changes, by=principal_of(request), now=timezone.now()
        )
        return Response(EmulatorSerializer(config).data)

    @extend_schema(
        operation_id="delete_emulator",
        tags=TAGS,
        responses={200: MessageSerializer},
        examples=[examples.DELETED],
    )
    def delete(self, request: Request, console_type: str) -> Response:
        """Ends launches of the console; its games and running machines stay."""
        configs.delete_config(console=console_type, by=principal_of(request), now=timezone.now())
        return Response({"message": "Emulator configuration deleted"})


class EmulatorProvidersView(APIView):
    permission_classes = (needs(Scope.CONFIG),)

    @extend_schema(
        operation_id="upsert_emulator_provider",
        tags=TAGS,
        request=PreferenceChangesSerializer,
        responses={200: EmulatorSerializer, 201: EmulatorSerializer},
        examples=[examples.PREFERENCE, examples.EMULATOR],
    )
    def post(self, request: Request, console_type: str) -> Response:
        """Adds a provider (201) or changes it (200). With a priority that is taken, those in its way move down."""
        given = body_of(request, PreferenceChangesSerializer)
        provider, changes = given.draft()
        config, is_new = configs.upsert_provider(
            console=console_type,
            provider=provider,
            changes=changes,
            by=principal_of(request),
            now=timezone.now(),
        )
        return Response(EmulatorSerializer(config).data, status=201 if is_new else 200)


class PresetsView(ListView):
    permission_classes = (needs(Scope.CONFIG),)
    queryset = Preset.objects.all()

    @extend_schema(
        operation_id="list_presets",
        tags=TAGS,
        responses=PresetSerializer(many=True),
        examples=[examples.PRESET],
    )
    def get(self, request: Request) -> Response:
        """The sizes a launch may ask for, the smallest first."""
        expect_no_filters(request)
        return self.page(self.get_queryset(), PresetSerializer)


class GamesView(ListView):
    permission_classes = (needs(Scope.CONFIG),)
    queryset = Game.objects.select_related("gpu_class")

    @extend_schema(
        operation_id="list_games",
        tags=["games"],
        parameters=[GameQuerySerializer],
        responses=GameSerializer(many=True),
        examples=[examples.GAME],
    )
    def get(self, request: Request) -> Response:
        """The library by title. A game that is not in it can be launched too, with its console's values.

        A game whose file is gone (`available` false) is refused by every launch, before anything is bought.
        """
        query = filters_of(request, GameQuerySerializer)
        games = Game.objects.select_related("gpu_class").with_availability()
        if console := query.validated_data.get("console"):
            games = games.of_console(console)
        if words := query.validated_data.get("q"):
            games = games.matching(words)
        if "available" in query.validated_data:
            games = games.available(query.validated_data["available"])
        return self.page(games, GameSerializer)
