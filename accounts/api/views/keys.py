"""`/api-keys`: made, listed, changed, rotated, revoked."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import keys
from accounts.api import examples
from accounts.api.key_serializers import (
    ApiKeyChangesSerializer,
    ApiKeyCreationSerializer,
    ApiKeyFiltersSerializer,
    ApiKeySerializer,
    RotationSerializer,
    ShownApiKeySerializer,
)
from accounts.api.permissions import PeopleOrStaffKeys
from accounts.models import ApiKey, Department
from accounts.principal import principal_of
from gamer.errors import NotFound, bad_field
from gamer.web.reading import ListView, body_of, filters_of
from gamer.web.schema import LOCATION, errors

TAGS = ["api keys"]


def _find(request: Request, key_id: str) -> ApiKey:
    found = (
        ApiKey.objects.visible_to(principal_of(request))
        .select_related("maker")
        .filter(pk=int(key_id))
        .first()
    )
    if found is None:
        raise NotFound("Not found.")
    return found


def _shown(request: Request, key: ApiKey, text: str, status: int) -> Response:
    vars(key)["key"] = text
    headers = {"Cache-Control": "no-store"}
    if status == 201:
        headers["Location"] = request.build_absolute_uri(f"/api-keys/{key.pk}")
    return Response(ShownApiKeySerializer(key).data, status=status, headers=headers)


class ApiKeysView(ListView):
    permission_classes = (PeopleOrStaffKeys,)
    queryset = ApiKey.objects.all()

    @extend_schema(
        operation_id="list_api_keys",
        tags=TAGS,
        parameters=[ApiKeyFiltersSerializer],
        responses=ApiKeySerializer(many=True),
        examples=[examples.KEY],
    )
    def get(self, request: Request) -> Response:
        """Your keys, and those of the department you manage; staff see all. The newest first, revoked ones too."""
        asked = filters_of(request, ApiKeyFiltersSerializer).validated_data
        rows = ApiKey.objects.visible_to(principal_of(request)).select_related("maker")
        if "is_revoked" in asked:
            rows = rows.filter(revoked_at__isnull=not asked["is_revoked"])
        if "department_id" in asked:
            rows = rows.filter(department_id=asked["department_id"])
        return self.page(rows, ApiKeySerializer)

    @extend_schema(
        operation_id="create_api_key",
        tags=TAGS,
        parameters=[LOCATION],
        request=ApiKeyCreationSerializer,
        responses={201: ShownApiKeySerializer, **errors(409)},
        examples=[examples.KEY_CREATION, examples.KEY_MADE],
    )
    def post(self, request: Request) -> Response:
        """Makes a key. Its text is in this answer and nowhere afterwards."""
        asked, by = dict(body_of(request, ApiKeyCreationSerializer).validated_data), principal_of(request)
        assert by.user is not None  # PeopleOrStaffKeys
        department = self._department(asked.pop("department_id", None))
        key, text = keys.create(by=by, maker=by.user, department=department, now=timezone.now(), **asked)
        return _shown(request, key, text, 201)

    def _department(self, department_id: int | None) -> Department | None:
        """Any department by its id: who may not make keys of it is told by the service, and learns nothing of others."""
        by = principal_of(self.request)
        if department_id is None:
            return None
        is_known = by.is_staff or (by.user is not None and by.user.department_id == department_id)
        found = Department.objects.filter(pk=department_id).first() if is_known else None
        if found is None:
            raise bad_field("department_id", "There is no such department.")
        return found


class ApiKeyView(APIView):
    permission_classes = (PeopleOrStaffKeys,)

    @extend_schema(operation_id="get_api_key", tags=TAGS, responses=ApiKeySerializer, examples=[examples.KEY])
    def get(self, request: Request, key_id: str) -> Response:
        """One key."""
        return Response(ApiKeySerializer(_find(request, key_id)).data)

    @extend_schema(
        operation_id="update_api_key",
        tags=TAGS,
        request=ApiKeyChangesSerializer,
        responses=ApiKeySerializer,
        examples=[examples.KEY_CHANGES, examples.KEY],
    )
    def patch(self, request: Request, key_id: str) -> Response:
        """Changes a key's name or expiry."""
        key, changes = _find(request, key_id), body_of(request, ApiKeyChangesSerializer).validated_data
        changed = keys.update(by=principal_of(request), key=key, now=timezone.now(), **changes)
        return Response(ApiKeySerializer(changed).data)

    @extend_schema(operation_id="revoke_api_key", tags=TAGS, request=None, responses={204: None})
    def delete(self, request: Request, key_id: str) -> Response:
        """Ends a key for ever. It stays in the list, because it explains the events it left."""
        keys.revoke(by=principal_of(request), key=_find(request, key_id), now=timezone.now())
        return Response(status=204)


class RotateApiKeyView(APIView):
    permission_classes = (PeopleOrStaffKeys,)

    @extend_schema(
        operation_id="rotate_api_key",
        tags=TAGS,
        request=RotationSerializer,
        responses={200: ShownApiKeySerializer},
        examples=[examples.ROTATION, examples.ROTATED],
    )
    def post(self, request: Request, key_id: str) -> Response:
        """The same key under a new text, shown once. The old text ends now, or after `grace_s`."""
        key, asked = _find(request, key_id), body_of(request, RotationSerializer)
        by, now = principal_of(request), timezone.now()
        rotated, text = keys.rotate(by=by, key=key, grace=asked.grace, now=now)
        return _shown(request, rotated, text, 200)
