"""What goes in and out of `/billing/budgets`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Department, Project, User
from accounts.principal import Principal
from billing.budgets.rows import MOST_THRESHOLDS, Step, Target
from billing.models import Budget, BudgetCrossing
from billing.models.budgets import MOST_EMAILS, MOST_PERCENT, BudgetPeriod, Covers, Threshold
from billing.sight import sight_of
from gamer.errors import Conflict, bad_field
from gamer.web.serializers import (
    MoneyField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictEmailField,
    StrictIntegerField,
    StrictSerializer,
)

ACTIONS = {"notify": "notifies", "block_launches": "blocks_launches", "stop_vms": "stops_vms"}
ACTION_CHOICES = [(name, name) for name in ACTIONS]


class StrictDateField(serializers.DateField):
    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) != 10:
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class ThresholdSerializer(StrictSerializer):
    percent = StrictIntegerField(min_value=1, max_value=MOST_PERCENT)
    actions = serializers.ListField(
        child=StrictChoiceField(choices=ACTION_CHOICES), max_length=len(ACTIONS),
        help_text="`stop_vms` refuses launches, too. The event is there whatever is chosen.",
    )  # fmt: skip

    def to_representation(self, threshold: Threshold) -> dict[str, Any]:
        actions = [name for name, column in ACTIONS.items() if getattr(threshold, column)]
        return {"percent": threshold.percent, "actions": actions}


class BudgetChangesSerializer(StrictSerializer):
    """What may be changed of a budget; what it covers stays. `webhook_url` empty or null: none."""

    # Optional one by one: `partial` would reach into thresholds, whose fields are needed.
    name = StrictCharField(max_length=100, required=False)
    limit_usd = MoneyField(min_value=Decimal("0.000001"), required=False)
    period = StrictChoiceField(choices=BudgetPeriod.choices, required=False)
    starts_on = StrictDateField(
        required=False, allow_null=True, help_text="The first day, of a custom period."
    )
    ends_on = StrictDateField(required=False, allow_null=True, help_text="The last day, of a custom period.")
    thresholds = ThresholdSerializer(
        many=True, required=False, help_text="80 % and 100 % notify unless said otherwise."
    )
    emails = serializers.ListField(child=StrictEmailField(), required=False, max_length=MOST_EMAILS)
    webhook_url = StrictCharField(max_length=500, required=False, allow_blank=True, allow_null=True)
    webhook_secret = StrictCharField(
        max_length=120,
        required=False,
        write_only=True,
        help_text="whsec_…; made for you and told once unless given.",
    )
    is_active = StrictBooleanField(required=False)

    def validate_thresholds(self, found: list[Any]) -> list[Any]:
        if not 1 <= len(found) <= MOST_THRESHOLDS:
            raise serializers.ValidationError(f"From 1 to {MOST_THRESHOLDS}.")
        return found

    @property
    def changes(self) -> dict[str, Any]:
        """Keywords of `rows.change`."""
        values = {name: value for name, value in self.validated_data.items() if name not in TARGETS}
        if "webhook_url" in values:
            values["webhook_url"] = values["webhook_url"] or ""
        if "thresholds" in values:
            values["thresholds"] = [
                Step(one["percent"], **{column: name in one["actions"] for name, column in ACTIONS.items()})
                for one in values["thresholds"]
            ]
        return values


TARGETS = ("covers", "provider", "project_id", "department_id", "user_id")


class BudgetCreationSerializer(BudgetChangesSerializer):
    """Everything, or the one thing that is named; null names nothing."""

    name = StrictCharField(max_length=100)
    limit_usd = MoneyField(min_value=Decimal("0.000001"))
    covers = StrictChoiceField(choices=Covers.choices)
    provider = StrictCharField(max_length=30, required=False, allow_null=True)
    project_id = StrictIntegerField(min_value=1, required=False, allow_null=True)
    department_id = StrictIntegerField(min_value=1, required=False, allow_null=True)
    user_id = StrictCharField(max_length=64, required=False, allow_null=True)

    def target(self, by: Principal) -> Target:
        """What is covered: of everything for who sees everybody's money, else of what `by` may know.

        Raises ValidationError naming the field.
        """
        values = {name: value for name, value in self.validated_data.items() if value is not None}
        names = {
            "provider": "provider",
            "project": "project_id",
            "department": "department_id",
            "user": "user_id",
        }
        needed = names.get(values["covers"])
        for name in names.values():
            if (name in values) != (name == needed):
                text = (
                    f"Needed: covers is {values['covers']}."
                    if name == needed
                    else f"Not with covers {values['covers']}."
                )
                raise bad_field(name, text)
        sees_all = sight_of(by).is_everything

        def known(rows: Any) -> Any:
            return rows.all() if sees_all else rows.visible_to(by)

        match values["covers"]:
            case Covers.PROVIDER:
                return Target(provider=values["provider"])
            case Covers.PROJECT:
                return Target(project=_one(known(Project.objects), "project_id", pk=values["project_id"]))
            case Covers.DEPARTMENT:
                departments = known(Department.objects)
                return Target(department=_one(departments, "department_id", pk=values["department_id"]))
            case Covers.USER:
                return Target(user=_one(known(User.objects), "user_id", handle=values["user_id"]))
        return Target()


def _one(rows: Any, field: str, **which: Any) -> Any:
    found = list(rows.filter(**which)[:2])
    if len(found) > 1:
        raise Conflict(
            "Several departments have one of this name.", details={field: ["Several departments have one."]}
        )
    if not found:
        raise bad_field(field, "There is no such one.")
    return found[0]


class CrossedSerializer(serializers.ModelSerializer[BudgetCrossing]):
    severity = serializers.ChoiceField([("warning", "warning"), ("critical", "critical")], read_only=True)
    spent_usd = MoneyField(read_only=True, help_text="When it was noticed.")

    class Meta:
        model = BudgetCrossing
        fields = ("percent", "severity", "spent_usd", "crossed_at")
        read_only_fields = fields


class CurrentSerializer(serializers.Serializer[Any]):
    """The present period."""

    period_start = serializers.DateField()
    period_end = serializers.DateField()
    spent_usd = MoneyField(help_text="Until now, running machines included.")
    crossed = CrossedSerializer(many=True)


class BudgetSerializer(serializers.ModelSerializer[Budget]):
    """Takes `spent` of `watch.spent` in its context."""

    budget_id = serializers.IntegerField(source="id", read_only=True)
    provider = serializers.SerializerMethodField()
    project_id = serializers.IntegerField(read_only=True, allow_null=True)
    department_id = serializers.IntegerField(read_only=True, allow_null=True)
    user_id = serializers.CharField(source="user.handle", read_only=True, allow_null=True, default=None)
    limit_usd = MoneyField(read_only=True)
    thresholds = ThresholdSerializer(many=True, read_only=True)
    webhook_url = serializers.CharField(source="webhook.url", read_only=True, allow_null=True, default=None)
    current = serializers.SerializerMethodField(
        help_text="null outside a custom period, and when switched off."
    )

    class Meta:
        model = Budget
        fields: tuple[str, ...] = (
            *("budget_id", "name", "covers", *TARGETS[1:], "period", "starts_on", "ends_on", "limit_usd"),
            *("thresholds", "emails", "webhook_url", "is_active", "created_at", "current"),
        )
        read_only_fields = fields

    def get_provider(self, budget: Budget) -> str | None:
        return budget.provider or None

    @extend_schema_field(CurrentSerializer(allow_null=True))
    def get_current(self, budget: Budget) -> Any:
        spent: Mapping[int, tuple[date, date, Decimal]] = self.context["spent"]
        if budget.pk not in spent:
            return None
        start, end, usd = spent[budget.pk]
        crossed = [
            one for one in budget.crossings.all() if one.period_start == start and one.lifted_at is None
        ]
        shown = {"period_start": start, "period_end": end, "spent_usd": usd, "crossed": crossed}
        return CurrentSerializer(shown).data


class MadeBudgetSerializer(BudgetSerializer):
    webhook_secret = serializers.SerializerMethodField(help_text="Only here, and only when we made it.")

    class Meta(BudgetSerializer.Meta):
        fields = (*BudgetSerializer.Meta.fields, "webhook_secret")
        read_only_fields = fields

    def get_webhook_secret(self, budget: Budget) -> str | None:
        secret: str = self.context["webhook_secret"]
        return secret or None
