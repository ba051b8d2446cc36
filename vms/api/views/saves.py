"""`/saves`: slots of saves, their versions, and the way in and out for a player's own files."""

from __future__ import annotations

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from accounts.services import resolve_owner
from emulators.api.downloads import download_of
from emulators.archives import MAX_PACKED
from emulators.models import SaveSlot
from emulators.services import slots
from gamer.web.parsers import GzipParser
from gamer.web.reading import ListView, body_of, bytes_of, expect_no_filters, expect_nothing, filters_of
from gamer.web.schema import LOCATION, errors
from gamer.web.throttles import WriteThrottle
from vms import saves
from vms.api import save_examples
from vms.api.serializers.saves import (
    SaveChangesSerializer,
    SaveCreationSerializer,
    SaveQuerySerializer,
    SaveSlotSerializer,
    SaveVersionSerializer,
)

TAGS = ["saves"]


class UploadThrottle(WriteThrottle):
    rate_name = "save_upload"


def slot_answer(request: Request, slot_id: str, status: int = 200) -> Response:
    shown = saves.find(principal_of(request), slot_id)
    headers = {"Location": request.build_absolute_uri(f"/saves/{slot_id}")} if status == 201 else None
    return Response(SaveSlotSerializer(shown).data, status=status, headers=headers)


class SavesView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = SaveSlot.objects.all()

    @extend_schema(
        operation_id="list_saves",
        tags=TAGS,
        parameters=[SaveQuerySerializer],
        responses=SaveSlotSerializer(many=True),
        examples=[save_examples.SLOT],
    )
    def get(self, request: Request) -> Response:
        """Save slots you may see, the newest first. A person sees their own alone; a key those of the people it acts for."""
        asked = filters_of(request, SaveQuerySerializer).validated_data
        return self.page(saves.visible(principal_of(request), **asked), SaveSlotSerializer)

    @extend_schema(
        operation_id="create_save",
        tags=TAGS,
        parameters=[LOCATION],
        request=SaveCreationSerializer,
        responses={201: SaveSlotSerializer, **errors(409)},
        examples=[save_examples.CREATION, save_examples.SLOT],
    )
    def post(self, request: Request) -> Response:
        """Makes a slot before its first launch. 409, with its id, when there is one of this name for this game."""
        asked, by = body_of(request, SaveCreationSerializer).validated_data, principal_of(request)
        owner = resolve_owner(by, asked.pop("user_id", None))
        console = asked.pop("console_type")
        slot = slots.create(by=by, owner=owner, console=console, now=timezone.now(), **asked)
        return slot_answer(request, str(slot.pk), 201)


class SaveView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="get_save", tags=TAGS, responses=SaveSlotSerializer, examples=[save_examples.SLOT]
    )
    def get(self, request: Request, slot_id: str) -> Response:
        """One save slot."""
        return slot_answer(request, slot_id)

    @extend_schema(
        operation_id="update_save",
        tags=TAGS,
        request=SaveChangesSerializer,
        responses={200: SaveSlotSerializer, **errors(409)},
        examples=[save_examples.CHANGES, save_examples.SLOT],
    )
    def patch(self, request: Request, slot_id: str) -> Response:
        """Renames a slot, or sets the clock in its game, from the next launch on. A slot somebody plays on keeps its name (409)."""
        by = principal_of(request)
        slot = saves.find(by, slot_id)
        changes = body_of(request, SaveChangesSerializer).validated_data
        saves.change(slot=slot, by=by, now=timezone.now(), **changes)
        return slot_answer(request, slot_id)

    @extend_schema(operation_id="delete_save", tags=TAGS, request=None, responses={204: None, **errors(409)})
    def delete(self, request: Request, slot_id: str) -> Response:
        """Deletes a slot with all its versions, for good. 409 while somebody plays on it."""
        by = principal_of(request)
        slot = saves.find(by, slot_id)
        expect_nothing(request)
        saves.delete(slot=slot, by=by, now=timezone.now())
        return Response(status=204)


class SaveVersionsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    parser_classes = (GzipParser,)
    throttle_classes = (UploadThrottle,)
    queryset = SaveSlot.objects.all()
    max_body = MAX_PACKED

    @extend_schema(
        operation_id="list_save_versions",
        tags=TAGS,
        responses=SaveVersionSerializer(many=True),
        examples=[save_examples.VERSION],
    )
    def get(self, request: Request, slot_id: str) -> Response:
        """A slot's versions, the newest first."""
        expect_no_filters(request)
        slot = saves.find(principal_of(request), slot_id)
        return self.page(saves.versions_of(slot), SaveVersionSerializer)

    @extend_schema(
        operation_id="upload_save",
        tags=TAGS,
        request={"application/gzip": OpenApiTypes.BINARY},
        responses={201: SaveVersionSerializer, 200: SaveVersionSerializer, **errors(409)},
        examples=[save_examples.VERSION],
    )
    def post(self, request: Request, slot_id: str) -> Response:
        """Uploads an archive as the current version: a gzip-compressed tar file of at most 64 MiB, as a download gives it.
        200 when its content is the current one already; 409 while somebody plays, or when there is no room.
        """
        by = principal_of(request)
        slot = saves.find(by, slot_id)
        archive = bytes_of(request, "archive")
        taken = saves.upload(slot=slot, archive=archive, by=by, now=timezone.now())
        version = slots.find_version(slot_id=slot.pk, number=taken.number)
        return Response(SaveVersionSerializer(version).data, status=201 if taken.is_new else 200)


class SaveDownloadView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="download_save",
        tags=TAGS,
        responses={
            (200, "application/gzip"): OpenApiTypes.BINARY,
            302: OpenApiResponse(
                description="Where the archive is, for five minutes. Ask there without credentials."
            ),
        },
    )
    def get(self, request: Request, slot_id: str, number: str) -> HttpResponseBase:
        """A version's archive: a gzip-compressed tar file."""
        by = principal_of(request)
        slot = saves.find(by, slot_id)
        return download_of(slots.deliver(slot=slot, number=int(number), by=by, now=timezone.now()))


class RestoreSaveView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(
        operation_id="restore_save",
        tags=TAGS,
        request=None,
        responses={201: SaveVersionSerializer, **errors(409)},
        examples=[save_examples.VERSION],
    )
    def post(self, request: Request, slot_id: str, number: str) -> Response:
        """Makes an older version's content the current one, as a new version. 409 while somebody plays on the slot."""
        by = principal_of(request)
        slot = saves.find(by, slot_id)
        expect_nothing(request)
        version = saves.restore(slot=slot, number=int(number), by=by, now=timezone.now())
        return Response(SaveVersionSerializer(version).data, status=201)
