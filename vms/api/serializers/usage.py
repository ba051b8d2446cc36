"""What `/billing/usage/{provider}` says: a provider's sums, and the VMs behind them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.api.report_serializers import DaysQuerySerializer, PeriodSerializer, UsageSummarySerializer
from gamer.web.serializers import MoneyField, StrictIntegerField
from vms.api.serializers.machines import STATUSES


class UsageQuerySerializer(DaysQuerySerializer):
    limit = StrictIntegerField(min_value=1, max_value=200, default=50, help_text="How many VMs are named.")
    skip = StrictIntegerField(
        min_value=0, max_value=10_000, default=0, help_text="How many VMs to pass over."
    )


class VmUsageSerializer(serializers.Serializer[Any]):
    """One VM's part. Rows that are no longer kept have no status."""

    vm_id = serializers.UUIDField()
    console_type = serializers.CharField()
    preset = serializers.CharField()
    provider = serializers.CharField()
    status = serializers.ChoiceField(STATUSES, allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    last_activity = serializers.DateTimeField(allow_null=True)
    runtime_hours = serializers.FloatField()
    estimated_cost_usd = MoneyField()
    charge_usd = MoneyField(required=False)


class ProviderUsageSerializer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    period = PeriodSerializer()
    summary = UsageSummarySerializer()
    vm_details = VmUsageSerializer(
        many=True, help_text="The newest first; `limit` and `skip` page through them."
    )
