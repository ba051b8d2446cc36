"""Where the money stands now: today and this month against limits, the pace, and who spends most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Sum

from billing.models import BudgetCrossing, Meter
from billing.periods import DAY, Period, last_days, month_of, month_so_far, share_gone
from billing.rating import amount, day_of
from billing.reports.figures import Row, report, series
from billing.sight import Sight

STAFF = Sight(shows_cost=True, is_everything=True)
LEARNS_FROM_DAYS = 7
WARNING_PERCENT = 80
TOP = 5


@dataclass(frozen=True, slots=True)
class Spending:
    """Today and this month so far, running machines included. For who sees no cost it is the charge."""

    daily_usd: Decimal
    monthly_usd: Decimal


@dataclass(frozen=True, slots=True)
class Alert:
    """`type` is `daily_limit_warning`, `monthly_limit_exceeded` and so on; `severity` warning or critical."""

    type: str
    message: str
    severity: str


@dataclass(frozen=True, slots=True)
class FrontPage:
    """What the first page of the admin says of money. `charge` beside, where it helps."""

    today: Row
    month: Row
    forecast_usd: Decimal
    burn_usd_per_hour: Decimal
    charge_usd_per_hour: Decimal
    top_spenders: Sequence[Row]
    open_crossings: Sequence[BudgetCrossing]


def spending_now(*, sight: Sight, now: datetime, zone: ZoneInfo) -> Spending:
    days = series(period=month_so_far(now, zone), sight=sight, now=now, counts_vms=False)
    usd = [row.cost_usd if sight.shows_cost else row.charge_usd for row in days]
    return Spending(usd[-1], sum(usd, Decimal(0)))


def alerts(spending: Spending, *, daily_limit: Decimal, monthly_limit: Decimal) -> list[Alert]:
    """What is at 80 % of a limit (warning) or has reached it (critical); the day first."""
    found = []
    for name, spent, limit in (
        ("daily", spending.daily_usd, daily_limit),
        ("monthly", spending.monthly_usd, monthly_limit),
    ):
        percent = spent * 100 / limit
        if percent >= 100:
            text = f"The {name} cost of {spent:.2f} USD has reached the limit of {limit:.2f} USD."
            found.append(Alert(f"{name}_limit_exceeded", text, "critical"))
        elif percent >= WARNING_PERCENT:
            text = f"The {name} cost of {spent:.2f} USD is {percent:.0f} % of the limit of {limit:.2f} USD."
            found.append(Alert(f"{name}_limit_warning", text, "warning"))
    return found


def forecast(*, sight: Sight, now: datetime, zone: ZoneInfo) -> Decimal:
    """What the month will have come to at its end, at the pace of the last seven whole days.

    Where nothing is older than today the pace is the month's own so far.
    """
    month = month_of(day_of(now, zone), zone)
    spent = spending_now(sight=sight, now=now, zone=zone).monthly_usd
    before = last_days(LEARNS_FROM_DAYS + 1, now, zone)
    usual = series(
        period=Period(before.start, before.end - DAY, zone), sight=sight, now=now, counts_vms=False
    )
    usd = [row.cost_usd if sight.shows_cost else row.charge_usd for row in usual]
    first = next((at for at, one in enumerate(usd) if one), None)
    if first is None:
        gone = share_gone(month, now)
        return amount(spent / gone) if gone else spent
    a_day = sum(usd, Decimal(0)) / (len(usd) - first)
    left = Decimal((month.ends_at - now) // timedelta(microseconds=1)) / (DAY // timedelta(microseconds=1))
    return amount(spent + a_day * left)


def front_page_figures(*, now: datetime, zone: ZoneInfo) -> FrontPage:
    """For staff: everything, as providers ask for it."""
    today = day_of(now, zone)
    month = month_so_far(now, zone)
    days = report(period=month, sight=STAFF, now=now)
    top = report(period=month, sight=STAFF, now=now, group_by=("user",), counts_vms=False)
    burn = Meter.objects.aggregate(cost=Sum("cost_usd_per_hour"), charge=Sum("charge_usd_per_hour"))
    crossings = BudgetCrossing.objects.in_force(today).select_related("budget").order_by("-percent", "-id")
    return FrontPage(
        today=report(period=Period(today, today, zone), sight=STAFF, now=now).totals,
        month=days.totals,
        forecast_usd=forecast(sight=STAFF, now=now, zone=zone),
        burn_usd_per_hour=burn["cost"] or Decimal(0),
        charge_usd_per_hour=burn["charge"] or Decimal(0),
        top_spenders=top.rows[:TOP],
        open_crossings=list(crossings[:50]),
    )
