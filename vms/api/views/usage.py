"""`/billing/usage/{provider}`: billing has the sums, we know the VMs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from billing.api.report_examples import VM_USAGE
from billing.api.report_serializers import Seen, shown_period
from billing.budgets.watch import zone
from billing.kinds import kind_of
from billing.periods import last_days
from billing.reports import Filters, VmUsage, report, usage_of_vms
from billing.reports.rows import hours
from billing.sight import Sight, sight_of
from gamer.errors import NotFound
from gamer.web.reading import query_of
from vms.api.serializers.usage import ProviderUsageSerializer, UsageQuerySerializer
from vms.lifecycle import status_of
from vms.models import PROVIDER_KINDS, VM


class ProviderUsageView(APIView):
    permission_classes = (needs(Scope.BILLING),)

    @extend_schema(
        operation_id="get_provider_usage", tags=["billing"], parameters=[UsageQuerySerializer],
        responses=ProviderUsageSerializer, examples=[VM_USAGE],
    )  # fmt: skip
    def get(self, request: Request, provider: str) -> Response:
        """One provider's hours and money of the last days, and the VMs behind them. `gcp` is `cloudypad_gcp`."""
        kind = kind_of(provider)
        if kind not in PROVIDER_KINDS:
            raise NotFound("There is no such provider.")
        asked = query_of(request, UsageQuerySerializer).validated_data
        now, sight = timezone.now(), sight_of(principal_of(request))
        period, filters = last_days(asked["days"], now, zone()), Filters(provider=kind)
        found = report(period=period, sight=sight, now=now, filters=filters)
        used = usage_of_vms(
            period=period, sight=sight, filters=filters, now=now, limit=asked["limit"], skip=asked["skip"]
        )
        answer = {
            "provider": provider,
            "period": shown_period(period, now),
            "summary": Seen(found.totals, sight).summary,
            "vm_details": _details(used, sight),
        }
        return Response(ProviderUsageSerializer(answer).data)


def _details(used: Sequence[VmUsage], sight: Sight) -> list[dict[str, Any]]:
    columns = ("pk", "desired", "phase", "created_at", "last_activity")
    known = {
        row[0]: row[1:] for row in VM.objects.filter(pk__in=[one.vm for one in used]).values_list(*columns)
    }
    details = []
    for one in used:
        desired, phase, created_at, last_activity = known.get(one.vm, (None, None, None, None))
        money = {"estimated_cost_usd": one.charge_usd, "runtime_hours": float(hours(one.charged_us))}
        if sight.shows_cost:
            money = {
                "estimated_cost_usd": one.cost_usd, "runtime_hours": float(hours(one.provider_us)),
                "charge_usd": one.charge_usd,
            }  # fmt: skip
        details.append(
            {
                "vm_id": one.vm, "console_type": one.console, "preset": one.preset, "provider": one.provider,
                "status": status_of(desired, phase) if phase is not None else None,
                "created_at": created_at, "last_activity": last_activity, **money,
            }
        )  # fmt: skip
    return details
