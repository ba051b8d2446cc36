"""What `/monitoring/vms/{id}` is asked and answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from gamer.web.serializers import StrictCharField, StrictChoiceField, StrictIntegerField, StrictSerializer
from monitoring.measures import MEASURES, NAMES
from monitoring.queries import AGGREGATES, STEPS_S, Series, Summary, Trends

MIN_WINDOW_S, MAX_WINDOW_S = 60, 400 * 86_400
UNITS = {one.name: one.unit for one in MEASURES}
MEANINGS = "\n".join(
    f"- `{one.name}`{f' ({one.unit})' if one.unit else ''}: {one.meaning}" for one in MEASURES
)


class _StepField(StrictIntegerField):
    """One of the lengths a window may be cut into."""

    def to_internal_value(self, data: Any) -> int:
        value = super().to_internal_value(data)
        if value not in STEPS_S:
            raise serializers.ValidationError(f"One of {', '.join(map(str, STEPS_S))}.")
        return value


class WindowSerializer(StrictSerializer):
    """The time up to now."""

    window = StrictIntegerField(
        default=3600, min_value=MIN_WINDOW_S, max_value=MAX_WINDOW_S, help_text="Seconds up to now."
    )

    def validate_window(self, value: int) -> timedelta:
        return timedelta(seconds=value)


class SeriesQuerySerializer(WindowSerializer):
    step = _StepField(
        required=False,
        help_text=f"Seconds: one of {', '.join(map(str, STEPS_S))}. Without it, about a hundred steps. At most 500 steps; below a "
        "minute and below an hour only as far back as values that fine are kept.",
    )
    aggregate = StrictChoiceField(
        choices=AGGREGATES, default="avg", help_text="What stands for all samples of one step."
    )
    metrics = StrictCharField(
        required=False, max_length=400, help_text="Names, separated by commas; all without it."
    )

    def validate_step(self, value: int) -> timedelta:
        return timedelta(seconds=value)

    def validate_metrics(self, value: str) -> list[str]:
        names = value.split(",")
        if unknown := [name for name in names if name not in NAMES]:
            raise serializers.ValidationError(f"Unknown: {', '.join(unknown)[:100]}.")
        return names


class TrendsQuerySerializer(WindowSerializer):
    window = StrictIntegerField(
        default=21_600, min_value=MIN_WINDOW_S, max_value=MAX_WINDOW_S, help_text="Seconds up to now."
    )


class _SpanSerializer(serializers.Serializer[Any]):
    vm_id = serializers.UUIDField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="The end of the last step, which may still go on.")


class MetricSerializer(serializers.Serializer[Any]):
    unit = serializers.CharField(allow_blank=True)
    values = serializers.ListField(
        child=serializers.FloatField(allow_null=True),
        help_text="One for each of `times`; null where nothing was measured.",
    )


class MetricsSerializer(_SpanSerializer):
    """What was measured, in steps."""

    step = serializers.IntegerField(help_text="Seconds.")
    aggregate = serializers.ChoiceField(AGGREGATES)
    times = serializers.ListField(child=serializers.DateTimeField(), help_text="Where the steps begin.")
    metrics = serializers.DictField(child=MetricSerializer())


class MetricSummarySerializer(serializers.Serializer[Any]):
    unit = serializers.CharField(allow_blank=True)
    latest = serializers.FloatField(
        allow_null=True, help_text="Null when the newest sample has no such value."
    )
    avg = serializers.FloatField()
    min = serializers.FloatField()
    max = serializers.FloatField()
    count = serializers.IntegerField(help_text="How many samples had it.")


class MetricsSummarySerializer(_SpanSerializer):
    """The latest values, means and peaks."""

    latest_at = serializers.DateTimeField(allow_null=True)
    metrics = serializers.DictField(child=MetricSummarySerializer())


class MetricTrendSerializer(serializers.Serializer[Any]):
    unit = serializers.CharField(allow_blank=True)
    slope_per_hour = serializers.FloatField(help_text="By how much it rises in an hour.")
    fit = serializers.FloatField(help_text="R²: 1 for a straight line, 0 for values that follow none.")


class MetricsTrendsSerializer(_SpanSerializer):
    """Where values are heading, by least squares; a metric with less than three values has no trend."""

    disk_full_at = serializers.DateTimeField(
        allow_null=True, help_text="When the disk is full if it fills like that; null when it does not fill."
    )
    metrics = serializers.DictField(child=MetricTrendSerializer())


def series_answer(vm_id: Any, known: Series) -> dict[str, Any]:
    """A series as `MetricsSerializer` describes it; written out here, because thousands of values need no serializer each."""
    return {
        "vm_id": str(vm_id),
        "since": known.span.since,
        "until": known.span.until,
        "step": int(known.span.step.total_seconds()),
        "aggregate": known.aggregate,
        "times": known.span.moments,
        "metrics": {name: {"unit": UNITS[name], "values": values} for name, values in known.values.items()},
    }


def summary_answer(vm_id: Any, known: Summary) -> dict[str, Any]:
    return {
        "vm_id": str(vm_id),
        "since": known.span.since,
        "until": known.span.until,
        "latest_at": known.latest_at,
        "metrics": {
            name: {
                "unit": UNITS[name], "latest": one.latest, "avg": one.avg, "min": one.low, "max": one.high, "count": one.count,
            }
            for name, one in known.metrics.items()
        },
    }  # fmt: skip


def trends_answer(vm_id: Any, known: Trends) -> dict[str, Any]:
    return {
        "vm_id": str(vm_id),
        "since": known.span.since,
        "until": known.span.until,
        "disk_full_at": known.disk_full_at,
        "metrics": {
            name: {"unit": UNITS[name], "slope_per_hour": round(one.slope, 6), "fit": round(one.fit, 4)}
            for name, one in known.lines.items()
        },
    }
