"""What goes in and out of `/billing/usage`, `/billing/costs`, `/billing/alerts` and `/billing/reports`.

Hours and money belong together: `runtime_hours` and `…cost_usd` are the provider's for who may see them, with `charge_usd`
beside, and what was charged for everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.kinds import KINDS, OFFERED, kind_of
from billing.models import CostCentre
from billing.periods import LONGEST_DAYS, Period, month_so_far
from billing.rating import day_of
from billing.reports import GROUPS, Filters, Report, Row, of_one_person
from billing.reports.rows import hours
from billing.sight import Sight
from gamer.errors import bad_field
from gamer.web.serializers import MoneyField, StrictCharField, StrictIntegerField, StrictSerializer

NO_MONEY = Decimal(0)
MOST_ROWS = 1000


class DayField(serializers.DateField):
    """A day, `2026-01-31`; a moment in ISO 8601 stands for the day it is in."""

    def to_internal_value(self, text: Any) -> Any:
        if not isinstance(text, str) or len(text) > 40:
            raise serializers.ValidationError("A day, like 2026-01-31.")
        try:
            if len(text) == 10:
                found: date | datetime = date.fromisoformat(text)
            else:
                found = datetime.fromisoformat(text)
        except ValueError:
            raise serializers.ValidationError("A day, like 2026-01-31.") from None
        if not 2000 <= found.year <= 2999:
            raise serializers.ValidationError("A day from 2000 on.")
        return found


def _as_day(found: date | datetime, zone: ZoneInfo) -> date:
    if not isinstance(found, datetime):
        return found
    return day_of(found, zone) if found.tzinfo is not None else found.date()


def period_of(asked: Mapping[str, Any], zone: ZoneInfo, now: datetime) -> Period:
    """`start_date` to `end_date`, both included; what is left out is this month's. Raises ValidationError naming the field."""
    usual = month_so_far(now, zone)
    start = _as_day(asked["start_date"], zone) if "start_date" in asked else None
    end = _as_day(asked["end_date"], zone) if "end_date" in asked else usual.end
    if start is None:
        start = min(usual.start, end)
    if end < start:
        raise bad_field("end_date", "Before start_date.")
    period = Period(start, end, zone)
    if period.days > LONGEST_DAYS:
        raise bad_field("start_date", f"At most {LONGEST_DAYS} days before end_date.")
    return period


class ProviderField(StrictCharField):
    """A kind of provider, or one of earlier times that something was used of. `gcp` is `cloudypad_gcp`."""

    def to_internal_value(self, text: Any) -> str:
        kind = kind_of(super().to_internal_value(text))
        if kind not in KINDS and not CostCentre.objects.filter(provider=kind).exists():
            raise serializers.ValidationError(f"One of {', '.join(OFFERED)}.")
        return kind


class DaysQuerySerializer(StrictSerializer):
    days = StrictIntegerField(
        min_value=1, max_value=LONGEST_DAYS, default=30, help_text="Today and the days before."
    )


class FewDaysQuerySerializer(StrictSerializer):
    days = StrictIntegerField(min_value=1, max_value=30, default=7, help_text="Today and the days before.")


class CustomQuerySerializer(StrictSerializer):
    start_date = DayField()
    end_date = DayField()
    provider = ProviderField(max_length=30, required=False)


class AlertsQuerySerializer(StrictSerializer):
    daily_limit = MoneyField(default=Decimal(50), min_value=Decimal("0.000001"))
    monthly_limit = MoneyField(default=Decimal(500), min_value=Decimal("0.000001"))


class ReportQuerySerializer(StrictSerializer):
    start_date = DayField(required=False, help_text="The first day; this month's first unless said.")
    end_date = DayField(required=False, help_text="The last day; today unless said.")
    group_by = StrictCharField(
        max_length=40,
        default="provider",
        help_text=f"One or two of {', '.join(GROUPS)}, with a comma between.",
    )
    provider = ProviderField(max_length=30, required=False)
    region = StrictCharField(max_length=100, required=False)
    console_type = StrictCharField(max_length=30, required=False)
    preset = StrictCharField(max_length=30, required=False)
    project_id = StrictIntegerField(min_value=1, required=False)
    department_id = StrictIntegerField(min_value=1, required=False)
    user_id = StrictCharField(max_length=64, required=False)
    limit = StrictIntegerField(min_value=1, max_value=MOST_ROWS, default=100, help_text="How many rows.")

    def validate_group_by(self, text: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in text.split(","))
        if len(names) > 2 or len(set(names)) < len(names) or not set(names) <= set(GROUPS):
            raise serializers.ValidationError(f"One or two of {', '.join(GROUPS)}, with a comma between.")
        return names

    def filters(self, sight: Sight) -> Filters:
        """Raises ValidationError for a `user_id` of several people."""
        names = {
            "provider": "provider", "region": "region", "console_type": "console", "preset": "preset", "project_id": "project",
            "department_id": "department", "user_id": "user__handle",
        }  # fmt: skip
        chosen = {
            ours: self.validated_data[name] for name, ours in names.items() if name in self.validated_data
        }
        return of_one_person(Filters(**chosen), sight)


# -- out


@dataclass(frozen=True, slots=True)
class Seen:
    """A row in the kind of money that its reader sees."""

    row: Row
    sight: Sight

    @property
    def hours(self) -> float:
        return float(self.row.provider_hours if self.sight.shows_cost else self.row.charged_hours)

    @property
    def usd(self) -> Decimal:
        return self.row.cost_usd if self.sight.shows_cost else self.row.charge_usd

    @property
    def beside(self) -> dict[str, Decimal]:
        return {"charge_usd": self.row.charge_usd} if self.sight.shows_cost else {}

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "total_vms": self.row.vms, "total_runtime_hours": self.hours, "total_estimated_cost_usd": self.usd, **self.beside,
        }  # fmt: skip

    @property
    def figures(self) -> dict[str, Any]:
        """A report's row: the margin only where both kinds of money are seen."""
        shown: dict[str, Any] = {
            "vms": self.row.vms,
            "runtime_hours": self.hours,
            "estimated_cost_usd": self.usd,
            **self.beside,
        }
        if self.sight.shows_cost:
            shown |= {
                "charged_hours": float(self.row.charged_hours), "stopped_hours": float(hours(self.row.stopped_us)),
                "cost_per_play_hour_usd": self.row.cost_per_play_hour, "margin_usd": self.row.margin_usd,
            }  # fmt: skip
        return shown


def breakdown(found: Report, sight: Sight) -> dict[str, dict[str, Any]]:
    """`provider_breakdown` of a report by provider."""
    return {str(row.keys[0]): {"summary": Seen(row, sight).summary} for row in found.rows}


def shown_period(period: Period, now: datetime) -> dict[str, datetime]:
    """From its first moment until now, or its end."""
    return {"start": period.starts_at, "end": max(min(period.ends_at, now), period.starts_at)}


class PeriodSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class UsageSummarySerializer(serializers.Serializer[Any]):
    total_vms = serializers.IntegerField()
    total_runtime_hours = serializers.FloatField()
    total_estimated_cost_usd = MoneyField()
    charge_usd = MoneyField(
        required=False, help_text="What customers pay for it; for staff and keys that bill."
    )


class ProviderSummarySerializer(serializers.Serializer[Any]):
    summary = UsageSummarySerializer()


class BreakdownField(serializers.DictField):
    child = ProviderSummarySerializer()


class UsageSerializer(serializers.Serializer[Any]):
    period = PeriodSerializer()
    overall_summary = UsageSummarySerializer()
    provider_breakdown = BreakdownField()


class MonthSerializer(serializers.Serializer[Any]):
    month = serializers.CharField(help_text="Like 2026-06.")
    period = PeriodSerializer()
    costs = UsageSummarySerializer()
    provider_breakdown = BreakdownField()


class DayCostSerializer(serializers.Serializer[Any]):
    date = serializers.DateField()
    cost = MoneyField()
    vms = serializers.IntegerField()
    hours = serializers.FloatField()
    charge_usd = MoneyField(required=False)


class DailySerializer(serializers.Serializer[Any]):
    period_days = serializers.IntegerField()
    daily_breakdown = DayCostSerializer(many=True)
    total_cost = MoneyField()
    average_daily_cost = MoneyField()


class CostAlertSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    message = serializers.CharField()
    severity = serializers.ChoiceField([("warning", "warning"), ("critical", "critical")])


class CurrentUsageSerializer(serializers.Serializer[Any]):
    daily_cost = MoneyField()
    monthly_cost = MoneyField()
    daily_limit = MoneyField()
    monthly_limit = MoneyField()


class AlertsSerializer(serializers.Serializer[Any]):
    alerts = CostAlertSerializer(many=True)
    current_usage = CurrentUsageSerializer()


class FiguresSerializer(serializers.Serializer[Any]):
    vms = serializers.IntegerField()
    runtime_hours = serializers.FloatField()
    estimated_cost_usd = MoneyField()
    charge_usd = MoneyField(required=False)
    charged_hours = serializers.FloatField(required=False)
    stopped_hours = serializers.FloatField(required=False)
    cost_per_play_hour_usd = MoneyField(required=False, allow_null=True)
    margin_usd = MoneyField(required=False)

    def to_representation(self, figures: Any) -> Any:
        """What is not seen is not there; a null would be a figure."""
        return {name: value for name, value in super().to_representation(figures).items() if name in figures}


@extend_schema_field({"type": "object", "additionalProperties": True})
class GroupField(serializers.DictField):
    """What the row is about, by the names of `group_by`: `{"provider": "tensordock", "day": "2026-06-15"}`."""


class ReportRowSerializer(FiguresSerializer):
    group = GroupField()
    names = serializers.DictField(
        child=serializers.CharField(),
        help_text="The same for people, of a user the `user_id`; empty for nobody.",
    )
    name = serializers.CharField(help_text="The names in one line.")


class ReportSerializer(serializers.Serializer[Any]):
    period = PeriodSerializer()
    group_by = serializers.ListField(child=serializers.CharField())
    total_rows = serializers.IntegerField(help_text="Before the limit.")
    rows = ReportRowSerializer(many=True)
    totals = FiguresSerializer()
    forecast_month_usd = MoneyField(help_text="What this month comes to at the pace of the last week.")
    saved_by_stopping_usd = MoneyField(
        required=False, help_text="What stopped machines would have cost running."
    )


def report_answer(found: Report, sight: Sight) -> dict[str, Any]:
    """Rows and totals of a report."""
    rows = [
        {
            "group": dict(zip(found.group_by, row.keys, strict=True)),
            "names": dict(zip(found.group_by, row.names, strict=True)),
            "name": " · ".join(row.names),
            **Seen(row, sight).figures,
        }
        for row in found.rows
    ]
    return {
        "group_by": list(found.group_by), "total_rows": found.groups, "rows": rows, "totals": Seen(found.totals, sight).figures,
    }  # fmt: skip
