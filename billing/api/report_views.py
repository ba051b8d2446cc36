"""`/billing/usage`, `/billing/costs`, `/billing/alerts` and `/billing/reports`: what was used and what it cost.

`/billing/usage/{provider}` names VMs, so it is in `vms.api`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from billing import rating
from billing.api import report_examples as examples
from billing.api.report_serializers import (
    AlertsQuerySerializer,
    AlertsSerializer,
    CustomQuerySerializer,
    DailySerializer,
    DaysQuerySerializer,
    FewDaysQuerySerializer,
    MonthSerializer,
    ReportQuerySerializer,
    ReportSerializer,
    Seen,
    UsageSerializer,
    breakdown,
    period_of,
    report_answer,
    shown_period,
)
from billing.budgets.watch import zone
from billing.periods import Period, last_days, month_so_far
from billing.reports import Filters, forecast, report, series, spending_now
from billing.reports.spending import alerts
from billing.sight import sight_of
from gamer.web.reading import query_of

TAGS = ["billing"]


class BillingView(APIView):
    permission_classes = (needs(Scope.BILLING),)


def _usage(request: Request, period: Period, provider: str = "") -> Response:
    now, sight = timezone.now(), sight_of(principal_of(request))
    found = report(
        period=period, sight=sight, now=now, filters=Filters(provider=provider), group_by=("provider",)
    )
    answer = {
        "period": shown_period(period, now),
        "overall_summary": Seen(found.totals, sight).summary,
        "provider_breakdown": breakdown(found, sight),
    }
    return Response(UsageSerializer(answer).data)


class CombinedUsageView(BillingView):
    @extend_schema(
        operation_id="get_combined_usage", tags=TAGS, parameters=[DaysQuerySerializer], responses=UsageSerializer,
        examples=[examples.USAGE],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """All providers' hours and money of the last days. Staff and keys that bill see the provider's, others their charge."""
        days = query_of(request, DaysQuerySerializer).validated_data["days"]
        return _usage(request, last_days(days, timezone.now(), zone()))


class CustomUsageView(BillingView):
    @extend_schema(
        operation_id="get_custom_usage", tags=TAGS, parameters=[CustomQuerySerializer], responses=UsageSerializer,
        examples=[examples.USAGE],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """The same from a day to a day, both included, of one provider or all; at most 365 days."""
        asked = query_of(request, CustomQuerySerializer).validated_data
        period = period_of(asked, zone(), timezone.now())
        return _usage(request, period, asked.get("provider", ""))


class CurrentMonthView(BillingView):
    @extend_schema(
        operation_id="get_current_month_costs",
        tags=TAGS,
        responses=MonthSerializer,
        examples=[examples.MONTH],
    )
    def get(self, request: Request) -> Response:
        """This month so far, running machines included."""
        now, sight = timezone.now(), sight_of(principal_of(request))
        period = month_so_far(now, zone())
        found = report(period=period, sight=sight, now=now, group_by=("provider",))
        answer = {
            "month": f"{period.start:%Y-%m}",
            "period": shown_period(period, now),
            "costs": Seen(found.totals, sight).summary,
            "provider_breakdown": breakdown(found, sight),
        }
        return Response(MonthSerializer(answer).data)


class DailyCostsView(BillingView):
    @extend_schema(
        operation_id="get_daily_costs", tags=TAGS, parameters=[FewDaysQuerySerializer], responses=DailySerializer,
        examples=[examples.DAILY],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Day by day, today last; days without use are there with zeros."""
        days = query_of(request, FewDaysQuerySerializer).validated_data["days"]
        now, sight = timezone.now(), sight_of(principal_of(request))
        seen = [Seen(row, sight) for row in series(period=last_days(days, now, zone()), sight=sight, now=now)]
        total = sum((one.usd for one in seen), Decimal(0))
        daily = [
            {"date": one.row.keys[0], "cost": one.usd, "vms": one.row.vms, "hours": one.hours, **one.beside} for one in seen
        ]  # fmt: skip
        answer = {
            "period_days": days, "daily_breakdown": daily, "total_cost": total, "average_daily_cost": rating.amount(total / days),
        }  # fmt: skip
        return Response(DailySerializer(answer).data)


class AlertsView(BillingView):
    @extend_schema(
        operation_id="get_billing_alerts", tags=TAGS, parameters=[AlertsQuerySerializer], responses=AlertsSerializer,
        examples=[examples.ALERTS],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Where today and this month stand against limits: a warning from 80 %, critical from 100 %. Looks, creates nothing."""
        limits: dict[str, Any] = query_of(request, AlertsQuerySerializer).validated_data
        spending = spending_now(sight=sight_of(principal_of(request)), now=timezone.now(), zone=zone())
        answer = {
            "alerts": alerts(spending, **limits),
            "current_usage": {
                "daily_cost": spending.daily_usd,
                "monthly_cost": spending.monthly_usd,
                **limits,
            },
        }
        return Response(AlertsSerializer(answer).data)


class ReportView(BillingView):
    @extend_schema(
        operation_id="get_billing_report", tags=TAGS, parameters=[ReportQuerySerializer], responses=ReportSerializer,
        examples=[examples.REPORT],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Any table of hours and money: a period, filters, one or two things to group by, totals and the month's forecast."""
        asked, now = query_of(request, ReportQuerySerializer), timezone.now()
        values, sight = asked.validated_data, sight_of(principal_of(request))
        period, filters = period_of(values, zone(), now), asked.filters(sight)
        found = report(
            period=period,
            sight=sight,
            now=now,
            filters=filters,
            group_by=values["group_by"],
            most=values["limit"],
        )
        answer = {
            "period": shown_period(period, now),
            **report_answer(found, sight),
            "forecast_month_usd": forecast(sight=sight, now=now, zone=zone(), filters=filters),
        }
        if sight.shows_cost:
            answer["saved_by_stopping_usd"] = found.totals.saved_usd
        return Response(ReportSerializer(answer).data)
