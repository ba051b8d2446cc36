"""What goes in and out of `/auth`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts import second_factor
from accounts.models import User
from gamer.web.serializers import StrictCharField, StrictEmailField, StrictSerializer

PERSON_ROLES = [("player", "player"), ("staff", "staff")]


class PersonSerializer(serializers.ModelSerializer[User]):
    user_id = serializers.CharField(source="handle", read_only=True)
    role = serializers.ChoiceField(choices=PERSON_ROLES, read_only=True)

    class Meta:
        model = User
        fields: tuple[str, ...] = ("user_id", "email", "first_name", "last_name", "role")
        read_only_fields: tuple[str, ...] = fields


class ProfileSerializer(PersonSerializer):
    """What people read about themselves."""

    department_id = serializers.IntegerField(read_only=True, allow_null=True)
    department_role = serializers.SerializerMethodField(help_text="Null without a department.")
    asks_otp = serializers.SerializerMethodField(help_text="Whether logging in takes a one-time code.")

    class Meta(PersonSerializer.Meta):
        fields = (
            *PersonSerializer.Meta.fields, "department_id", "department_role", "is_postpaid", "asks_otp", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_department_role(self, user: User) -> str | None:
        return user.department_role or None

    def get_asks_otp(self, user: User) -> bool:
        return second_factor.is_on(user)


class PasswordField(StrictCharField):
    """Every character counts, also blanks at the ends. Bounded, because hashing takes as long as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=256, trim_whitespace=False, **options)


class SignupSerializer(StrictSerializer):
    email = StrictEmailField(max_length=254)
    password = PasswordField()
    first_name = StrictCharField(max_length=100, default="", allow_blank=True)
    last_name = StrictCharField(max_length=100, default="", allow_blank=True)


class ProfileChangesSerializer(StrictSerializer):
    first_name = StrictCharField(max_length=100, required=False, allow_blank=True)
    last_name = StrictCharField(max_length=100, required=False, allow_blank=True)


class CredentialsSerializer(StrictSerializer):
    """The address is not checked for its shape: whatever it is, the answer is the same."""

    email = StrictCharField(max_length=254)
    password = PasswordField()
    otp = StrictCharField(
        max_length=40,
        required=False,
        allow_blank=True,
        help_text="The one-time code, or a recovery code, of who has set up an authenticator.",
    )


class RefreshSerializer(StrictSerializer):
    refresh = StrictCharField(max_length=2000)


class TokensSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class LoginSerializer(TokensSerializer):
    user = PersonSerializer()


class PasswordChangeSerializer(StrictSerializer):
    current_password = PasswordField()
    new_password = PasswordField()


class ResetRequestSerializer(StrictSerializer):
    """The address is not checked for its shape: whatever it is, the answer is the same."""

    email = StrictCharField(max_length=254)


class ResetConfirmationSerializer(StrictSerializer):
    token = StrictCharField(max_length=200, help_text="From the mail.")
    new_password = PasswordField()
