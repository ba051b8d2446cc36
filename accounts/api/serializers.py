"""What goes in and out of `/auth`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import User
from gamer.web.serializers import StrictCharField, StrictSerializer

PERSON_ROLES = [("player", "player"), ("staff", "staff")]


class PersonSerializer(serializers.ModelSerializer[User]):
    user_id = serializers.CharField(source="handle", read_only=True)
    role = serializers.ChoiceField(choices=PERSON_ROLES, read_only=True)

    class Meta:
        model = User
        fields = ("user_id", "email", "first_name", "last_name", "role")
        read_only_fields = fields


class CredentialsSerializer(StrictSerializer):
    """The address is not checked for its shape: whatever it is, the answer is the same."""

    email = StrictCharField(max_length=254)
    password = StrictCharField(max_length=256, trim_whitespace=False)


class RefreshSerializer(StrictSerializer):
    refresh = StrictCharField(max_length=2000)


class TokensSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class LoginSerializer(TokensSerializer):
    user = PersonSerializer()
