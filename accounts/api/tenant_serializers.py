"""What goes in and out of `/departments`, `/invitations` and `/projects`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import INVITED, DepartmentRole, Invitation, Project, User
from accounts.principal import principal_of
from gamer.web.serializers import (
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictEmailField,
    StrictSerializer,
)

ROLES = DepartmentRole.choices
INVITED_ROLES = [(one.value, one.label) for one in INVITED]
PROJECT_STATES = [(one, one) for one in ("open", "closing", "closed")]


class NameSerializer(StrictSerializer):
    """A department to make, or its new name."""

    name = StrictCharField(max_length=100)


class DepartmentSerializer(serializers.Serializer[Any]):
    """A tenant. `role` is what the asking person is in it; null for others."""

    department_id = serializers.IntegerField(source="id")
    name = serializers.CharField()
    role = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_role(self, department: Any) -> str | None:
        by = principal_of(self.context["request"])
        is_of_it = by.user is not None and by.key is None and by.user.department_id == department.pk
        return by.user.department_role if by.user is not None and is_of_it else None


class MemberSerializer(serializers.ModelSerializer[User]):
    """One of a department's people. Without an address: named by a key of the department."""

    user_id = serializers.CharField(source="handle", read_only=True)
    role = serializers.ChoiceField(ROLES, source="department_role", read_only=True)

    class Meta:
        model = User
        fields = ("user_id", "email", "first_name", "last_name", "role", "is_active")
        read_only_fields = fields


class RoleSerializer(StrictSerializer):
    """`owner` hands the department over: the one before becomes a manager."""

    role = StrictChoiceField(choices=ROLES)


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """A seat that was offered and not yet taken. `mailed_at` is null until the mail has left.

    `refusal` says why it never will: the mail server refused it for good. Inviting again has it tried anew.
    """

    invitation_id = serializers.UUIDField(source="id", read_only=True)
    role = serializers.ChoiceField(INVITED_ROLES, read_only=True)
    invited_by = serializers.CharField(source="inviter.handle", read_only=True, allow_null=True, default=None)
    refusal = serializers.CharField(read_only=True, allow_null=True, default=None)

    class Meta:
        model = Invitation
        fields = (
            *("invitation_id", "email", "role", "invited_by", "created_at", "expires_at", "mailed_at"),
            "refusal",
        )
        read_only_fields = fields


class InviteSerializer(StrictSerializer):
    """Whom to offer a seat."""

    email = StrictEmailField(max_length=254)
    role = StrictChoiceField(choices=INVITED_ROLES, default=DepartmentRole.MEMBER.value)


class AcceptSerializer(StrictSerializer):
    """The text of the mail."""

    token = StrictCharField(max_length=100)


class AcceptedSerializer(serializers.Serializer[Any]):
    """Where the person is now, and as what."""

    department_id = serializers.IntegerField()
    role = serializers.ChoiceField(ROLES, source="department_role")


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """VMs that belong together. With a department all its people launch in it; else only its creator."""

    project_id = serializers.IntegerField(source="id", read_only=True)
    user_id = serializers.CharField(source="owner.handle", read_only=True, help_text="Who made it.")
    department_id = serializers.IntegerField(read_only=True, allow_null=True)
    state = serializers.ChoiceField(PROJECT_STATES, read_only=True)

    class Meta:
        model = Project
        fields: tuple[str, ...] = (
            *("project_id", "name", "description", "user_id", "department_id", "state"),
            *("created_at", "closing_at", "closed_at"),
        )
        read_only_fields: tuple[str, ...] = fields


class ProjectCreationSerializer(StrictSerializer):
    """A project to make."""

    name = StrictCharField(max_length=100)
    description = StrictCharField(max_length=2000, allow_blank=True, default="")
    for_department = StrictBooleanField(
        default=False, help_text="All people of the owner's department may launch in it."
    )
    user_id = StrictCharField(
        max_length=64, required=False, allow_null=True, help_text="Whose it is; a key must name somebody."
    )


class ProjectChangesSerializer(StrictSerializer):
    """What shall be otherwise; what is left out stays."""

    name = StrictCharField(max_length=100, required=False)
    description = StrictCharField(max_length=2000, allow_blank=True, required=False)


class ProjectQuerySerializer(StrictSerializer):
    """The query string of a list of projects."""

    state = StrictChoiceField(choices=PROJECT_STATES, required=False)
    user_id = StrictCharField(max_length=64, required=False)
