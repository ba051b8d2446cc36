"""What goes in and out of `/api-keys`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from accounts.keys import LONGEST_GRACE
from accounts.models import ApiKey, Scope
from gamer.web.serializers import (
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictDateTimeField,
    StrictIntegerField,
    StrictSerializer,
)


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key as it is listed: never its text."""

    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    maker = serializers.CharField(source="maker.handle", help_text="The user_id of who made it.")
    department_id = serializers.IntegerField(allow_null=True)

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "id", "name", "prefix", "scopes", "department_id", "maker", "created_at", "expires_at", "last_used_at",
            "former_until", "revoked_at",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class ShownApiKeySerializer(ApiKeySerializer):
    """A key and its text, once."""

    key = serializers.CharField(help_text="The text to send as X-API-Key. It is shown once and kept nowhere.")

    class Meta(ApiKeySerializer.Meta):
        fields = (*ApiKeySerializer.Meta.fields, "key")
        read_only_fields = fields


class ApiKeyFiltersSerializer(StrictSerializer):
    is_revoked = StrictBooleanField(required=False)
    department_id = StrictIntegerField(required=False, min_value=1)


class ApiKeyCreationSerializer(StrictSerializer):
    name = StrictCharField(max_length=100)
    scopes = serializers.ListField(
        child=StrictChoiceField(choices=Scope.choices), min_length=1, max_length=len(Scope)
    )
    department_id = StrictIntegerField(required=False, allow_null=True, min_value=1)
    expires_at = StrictDateTimeField(required=False, allow_null=True, help_text="Never, when left out.")


class ApiKeyChangesSerializer(StrictSerializer):
    name = StrictCharField(max_length=100, required=False)
    expires_at = StrictDateTimeField(required=False, allow_null=True)


class RotationSerializer(StrictSerializer):
    grace_s = StrictIntegerField(
        default=0,
        min_value=0,
        max_value=int(LONGEST_GRACE.total_seconds()),
        help_text="Seconds for which the old text stays good.",
    )

    @property
    def grace(self) -> timedelta:
        given: dict[str, Any] = self.validated_data
        return timedelta(seconds=given["grace_s"])
