"""Examples for the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample


def said(title: str, value: Any, status: str = "200") -> OpenApiExample:
    return OpenApiExample(title, value=value, response_only=True, status_codes=[status])


def asked(title: str, value: Any) -> OpenApiExample:
    return OpenApiExample(title, value=value, request_only=True)


_SUMMARY = {
    "total_vms": 12,
    "total_runtime_hours": 8.5,
    "total_estimated_cost_usd": 13.26,
    "charge_usd": 15.249,
}
_PERIOD = {"start": "2026-06-01T00:00:00Z", "end": "2026-06-15T12:00:00Z"}
_BREAKDOWN = {"tensordock": {"summary": _SUMMARY}}
USAGE = said(
    "As staff sees it", {"period": _PERIOD, "overall_summary": _SUMMARY, "provider_breakdown": _BREAKDOWN}
)
MONTH = said(
    "As staff sees it",
    {"month": "2026-06", "period": _PERIOD, "costs": _SUMMARY, "provider_breakdown": _BREAKDOWN},
)
DAILY = said(
    "Two days of a player",
    {
        "period_days": 2,
        "daily_breakdown": [
            {"date": "2026-06-14", "cost": 3.12, "vms": 1, "hours": 2.0},
            {"date": "2026-06-15", "cost": 0, "vms": 0, "hours": 0.0},
        ],
        "total_cost": 3.12,
        "average_daily_cost": 1.56,
    },
)
ALERTS = said(
    "The day is over its limit",
    {
        "alerts": [
            {
                "type": "daily_limit_exceeded",
                "message": "The daily cost of 61.20 USD has reached the limit of 50.00 USD.",
                "severity": "critical",
            }
        ],
        "current_usage": {"daily_cost": 61.2, "monthly_cost": 240.5, "daily_limit": 50, "monthly_limit": 500},
    },
)
_FIGURES = {
    "vms": 12, "runtime_hours": 8.5, "estimated_cost_usd": 13.26, "charge_usd": 15.249, "charged_hours": 8.1,
    "stopped_hours": 0.0, "cost_per_play_hour_usd": 1.637037, "margin_usd": 1.989,
}  # fmt: skip
REPORT = said(
    "By provider, as staff sees it",
    {
        "period": _PERIOD, "group_by": ["provider"], "total_rows": 1,
        "rows": [
            {"group": {"provider": "tensordock"}, "names": {"provider": "tensordock"}, "name": "tensordock", **_FIGURES}
        ],
        "totals": _FIGURES, "forecast_month_usd": 28.4, "saved_by_stopping_usd": 0,
    },
)  # fmt: skip
VM_USAGE = said(
    "As staff sees it",
    {
        "provider": "tensordock", "period": _PERIOD, "summary": _SUMMARY,
        "vm_details": [
            {
                "vm_id": "0198c0de-0000-7000-8000-000000000000", "console_type": "switch", "preset": "premium",
                "provider": "tensordock", "status": "running", "created_at": "2026-06-15T10:00:00Z",
                "last_activity": "2026-06-15T11:58:00Z", "runtime_hours": 2.0, "estimated_cost_usd": 3.12, "charge_usd": 3.588,
            }
        ],
    },
)  # fmt: skip
_BUDGET = {
    "budget_id": 3, "name": "Arcade's June", "covers": "department", "provider": None, "project_id": None, "department_id": 7,
    "user_id": None, "period": "monthly", "starts_on": None, "ends_on": None, "limit_usd": 500,
    "thresholds": [{"percent": 80, "actions": ["notify"]}, {"percent": 100, "actions": ["notify", "block_launches"]}],
    "emails": ["ops@example.org"], "webhook_url": "https://hooks.example.org/gamer", "is_active": True,
    "created_at": "2026-06-01T09:00:00Z",
    "current": {
        "period_start": "2026-06-01", "period_end": "2026-06-30", "spent_usd": 412.5,
        "crossed": [{"percent": 80, "severity": "warning", "spent_usd": 400.1, "crossed_at": "2026-06-14T18:00:12Z"}],
    },
}  # fmt: skip
BUDGET = said("A department's", _BUDGET)
BUDGET_CHANGED = said("The same with a higher limit", {**_BUDGET, "limit_usd": 800, "webhook_secret": None})
BUDGET_MADE = said(
    "A new one; the webhook's secret is told once", {**_BUDGET, "webhook_secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}, "201"
)  # fmt: skip
BUDGET_WISH = asked(
    "Warn at 80 %, refuse launches from 100 % on",
    {
        "name": "Arcade's June", "covers": "department", "department_id": 7, "limit_usd": 500,
        "thresholds": [{"percent": 80, "actions": ["notify"]}, {"percent": 100, "actions": ["notify", "block_launches"]}],
        "emails": ["ops@example.org"], "webhook_url": "https://hooks.example.org/gamer",
    },
)  # fmt: skip
# What a budget's webhook is told.
BUDGET_TOLD = {
    "type": "budget.crossed",
    "timestamp": "2026-06-14T18:00:12.345678Z",
    "data": {
        "subject": "department Arcade",
        "text": "The budget Arcade's June of department Arcade has reached 80 %:\n"
        "400.10 of 500.00 USD are spent in the period from 2026-06-01 to 2026-06-30.\n",
        "budget_id": 3, "name": "Arcade's June", "covers": "department", "percent": 80, "severity": "warning",
        "spent_usd": 400.1, "limit_usd": 500.0, "period_start": "2026-06-01", "period_end": "2026-06-30",
    },
}  # fmt: skip
BUDGET_CHANGE = asked("A higher limit", {"limit_usd": 800})
