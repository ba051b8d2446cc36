"""What goes in and out of this app's paths."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.serializers import PERSON_ROLES
from accounts.api.tenant_serializers import ROLES, ProjectSerializer
from accounts.models import Project, User
from events.api.serializers import EventSerializer
from gamer.web.serializers import (
    MoneyField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictIntegerField,
    StrictSerializer,
)
from portal.queries import Dashboard, Limits
from vms.api.serializers.machines import STATUSES, StaffVmSerializer, VmSerializer

QUOTA_KINDS = [(one, one) for one in ("user", "project", "department")]


class UseSerializer(serializers.Serializer[Any]):
    """What is held now: VMs that nobody has ended; with a GPU and per hour those that are not stopped."""

    vms = serializers.IntegerField()
    gpu_vms = serializers.IntegerField()
    usd_per_hour = MoneyField()


class SpendSerializer(serializers.Serializer[Any]):
    """Hours and money as in `/billing`: the provider's for staff and keys that bill, what is charged for everybody else."""

    runtime_hours = serializers.DecimalField(
        source="hours", max_digits=20, decimal_places=6, coerce_to_string=False
    )
    estimated_cost_usd = MoneyField(source="usd", max_digits=20)


@extend_schema_field(
    {
        "type": "object",
        "properties": {name: {"type": "integer"} for name, _ in STATUSES},
        "required": [name for name, _ in STATUSES],
    }
)
class CountsField(serializers.Field[Any, Any, Any, Any]):
    """How many VMs have each status; every status is there."""

    def to_representation(self, value: Any) -> dict[str, int]:
        return {name: value.get(name, 0) for name, _ in STATUSES}


class LimitsSerializer(serializers.Serializer[Limits]):
    """A quota. Null: no limit. `used` is what counts against it now."""

    quota_id = serializers.IntegerField(source="quota.id")
    kind = serializers.ChoiceField(QUOTA_KINDS, source="quota.kind")
    user_id = serializers.CharField(source="quota.user.handle", allow_null=True, default=None)
    project_id = serializers.IntegerField(source="quota.project_id", allow_null=True)
    department_id = serializers.IntegerField(source="quota.department_id", allow_null=True)
    max_vms = serializers.IntegerField(source="quota.max_vms", allow_null=True)
    max_gpu_vms = serializers.IntegerField(source="quota.max_gpu_vms", allow_null=True)
    max_usd_per_hour = MoneyField(source="quota.max_usd_per_hour", allow_null=True)
    used = UseSerializer()


class LimitChangesSerializer(StrictSerializer):
    """Limits to set; null lifts one, what is left out stays."""

    max_vms = StrictIntegerField(min_value=0, max_value=1_000_000, required=False, allow_null=True)
    max_gpu_vms = StrictIntegerField(min_value=0, max_value=1_000_000, required=False, allow_null=True)
    max_usd_per_hour = MoneyField(
        min_value=0, max_digits=10, decimal_places=4, required=False, allow_null=True
    )


class QuotaCreationSerializer(LimitChangesSerializer):
    """Limits of one user, project or department."""

    user_id = StrictCharField(max_length=64, required=False, allow_null=True)
    project_id = StrictIntegerField(min_value=1, required=False, allow_null=True)
    department_id = StrictIntegerField(min_value=1, required=False, allow_null=True)


class QuotaQuerySerializer(StrictSerializer):
    """The query string of a list of quotas."""

    kind = StrictChoiceField(choices=QUOTA_KINDS, required=False)
    user_id = StrictCharField(max_length=64, required=False)
    project_id = StrictIntegerField(min_value=1, required=False)
    department_id = StrictIntegerField(min_value=1, required=False)


class CascadeSerializer(StrictSerializer):
    """What becomes of VMs that live."""

    cascade = StrictChoiceField(
        choices=[("terminate", "terminate")],
        required=False,
        help_text="`terminate` ends them; without it they are a 409.",
    )


class ProjectStatsSerializer(serializers.Serializer[Any]):
    """The numbers of one project."""

    project_id = serializers.IntegerField(source="project.pk")
    vms_by_status = CountsField()
    held = UseSerializer()
    total = SpendSerializer()
    this_month = SpendSerializer()


class DashboardProjectSerializer(ProjectSerializer):
    """A project with its VMs that nobody has ended."""

    live_vms = serializers.IntegerField(read_only=True)

    class Meta(ProjectSerializer.Meta):
        model = Project
        fields = (*ProjectSerializer.Meta.fields, "live_vms")
        read_only_fields = fields


class MeSerializer(serializers.ModelSerializer[User]):
    """Who is asking."""

    user_id = serializers.CharField(source="handle", read_only=True)
    role = serializers.ChoiceField(PERSON_ROLES, read_only=True)
    department_id = serializers.IntegerField(read_only=True, allow_null=True)
    department_role = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: tuple[str, ...] = (
            *("user_id", "email", "first_name", "last_name"),
            *("role", "department_id", "department_role"),
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.ChoiceField(ROLES, allow_null=True))
    def get_department_role(self, user: User) -> str | None:
        return user.department_role or None


class DashboardSerializer(serializers.Serializer[Any]):
    """A person's first page. `credit_usd` is what is left on the account that pays for them, what is held for VMs taken off.

    Null where they play on account, or where the account is not theirs to see.
    """

    user = MeSerializer()
    vms_by_status = CountsField()
    vms = serializers.SerializerMethodField()
    held = UseSerializer()
    this_month = SpendSerializer()
    credit_usd = MoneyField(source="credit", allow_null=True)
    projects = DashboardProjectSerializer(many=True)
    quotas = LimitsSerializer(source="limits", many=True)
    recent_events = EventSerializer(many=True)

    @extend_schema_field(StaffVmSerializer(many=True))
    def get_vms(self, found: Dashboard) -> list[dict[str, Any]]:
        return [dict(one) for one in VmSerializer(found.vms, many=True).data]


class ActivityQuerySerializer(StrictSerializer):
    """The query string of one's activity."""

    action = StrictCharField(max_length=40, required=False)
    resource = StrictCharField(max_length=20, required=False)
    after = StrictIntegerField(default=0, min_value=0, help_text="Only events behind the one with this id.")


class PeopleQuerySerializer(StrictSerializer):
    """The query string of the list of people."""

    q = StrictCharField(max_length=254, required=False, help_text="The beginning of a user_id or an address.")
    department_id = StrictIntegerField(min_value=1, required=False)
    department_role = StrictChoiceField(choices=ROLES, required=False)
    role = StrictChoiceField(choices=PERSON_ROLES, required=False)
    is_active = StrictBooleanField(required=False)


class KnownPersonSerializer(MeSerializer):
    """Somebody, for staff. `id` is theirs alone; a `user_id` is unique in its department only."""

    class Meta(MeSerializer.Meta):
        model = User
        fields = (
            "id",
            *MeSerializer.Meta.fields,
            *("is_active", "is_postpaid", "created_at", "last_login"),
        )
        read_only_fields = fields


class SuspensionSerializer(serializers.Serializer[Any]):
    """Since when, by whom and why."""

    at = serializers.DateTimeField()
    by = serializers.CharField(source="actor")
    reason = serializers.CharField(source="details.reason", default="")


@extend_schema_serializer(component_name="PersonProfile")
class ProfileSerializer(serializers.Serializer[Any]):
    """Somebody with what they hold, for staff. `suspended` is null for who may log in."""

    person = KnownPersonSerializer(source="user")
    vms_by_status = CountsField()
    held = UseSerializer()
    this_month = SpendSerializer()
    suspended = SuspensionSerializer(allow_null=True)


class ReasonSerializer(StrictSerializer):
    """Why; it is kept in the audit."""

    reason = StrictCharField(max_length=500)
