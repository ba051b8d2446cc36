"""Where the money stands now: today and this month against limits, the pace, and who spends most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Sum

from billing.models import BudgetCrossing, Meter
from billing.periods import DAY, Period, last_days, month_of, month_so_far, share_gone
from billing.rating import ZERO, amount, day_of
from billing.reports.figures import EVERYTHING, Filters, report, series, total_of
from billing.reports.rows import Key, Row
from billing.sight import Sight

STAFF = Sight(shows_cost=True, is_everything=True)
LEARNS_FROM_DAYS = 7
WARNING_PERCENT = 80
TOP = 5
SHOWN_DAYS = 30


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
    days: Sequence[Row]  # the last SHOWN_DAYS, by day and provider


def spending_now(*, sight: Sight, now: datetime, zone: ZoneInfo, filters: Filters = EVERYTHING) -> Spending:
    days = series(period=month_so_far(now, zone), sight=sight, now=now, filters=filters, counts_vms=False)
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
            text = f"The {name} cost of {spent:.2f} USD is {int(percent)} % of the limit of {limit:.2f} USD."
            found.append(Alert(f"{name}_limit_warning", text, "warning"))
    return found


def forecast(*, sight: Sight, now: datetime, zone: ZoneInfo, filters: Filters = EVERYTHING) -> Decimal:
    """What the month will have come to at its end, at the pace of the last seven whole days.

    Where nothing is older than today the pace is the month's own so far.
    """
    today = day_of(now, zone)
    asked = Period(_learnt(now, zone), today, zone)
    days = series(period=asked, sight=sight, now=now, filters=filters, counts_vms=False)
    return _projected(
        {row.keys[0]: row.cost_usd if sight.shows_cost else row.charge_usd for row in days}, now, zone
    )


def _learnt(now: datetime, zone: ZoneInfo) -> date:
    """The first day that a forecast needs."""
    return min(month_so_far(now, zone).start, last_days(LEARNS_FROM_DAYS + 1, now, zone).start)


def _projected(usd_of: Mapping[Key, Decimal], now: datetime, zone: ZoneInfo) -> Decimal:
    month, usual = month_of(day_of(now, zone), zone), last_days(LEARNS_FROM_DAYS + 1, now, zone).each()[:-1]
    spent = sum((usd_of.get(day, ZERO) for day in month_so_far(now, zone).each()), ZERO)
    usd = [usd_of.get(day, ZERO) for day in usual]
    known = Period(_learnt(now, zone), day_of(now, zone), zone).each()[:-1]
    if not any(usd_of.get(day) for day in known):
        gone = share_gone(month, now)
        return amount(spent / gone) if gone else spent
    first = next((at for at, one in enumerate(usd) if one), 0)
    a_day = sum(usd, ZERO) / (len(usd) - first)
    left = Decimal((month.ends_at - now) // timedelta(microseconds=1)) / (DAY // timedelta(microseconds=1))
    return amount(spent + a_day * left)


def front_page_figures(*, now: datetime, zone: ZoneInfo) -> FrontPage:
    """For staff: everything, as providers ask for it. One pass over the days, another for the people, no VMs counted."""
    today, month, shown = day_of(now, zone), month_so_far(now, zone), last_days(SHOWN_DAYS, now, zone)
    asked = Period(min(shown.start, _learnt(now, zone)), today, zone)
    days = report(period=asked, sight=STAFF, now=now, group_by=("day", "provider"), counts_vms=False).rows
    of_day: dict[Key, list[Row]] = {}
    for row in days:
        of_day.setdefault(row.keys[0], []).append(row)
    burn = Meter.objects.aggregate(cost=Sum("cost_usd_per_hour"), charge=Sum("charge_usd_per_hour"))
    crossings = BudgetCrossing.objects.in_force(today).order_by("-percent", "-id")
    crossings = crossings.select_related("budget__project", "budget__department", "budget__user")
    usd_of = {day: sum((row.cost_usd for row in rows), ZERO) for day, rows in of_day.items()}
    return FrontPage(
        today=total_of(of_day.get(today, []), 0),
        month=total_of([row for day in month.each() for row in of_day.get(day, [])], 0),
        forecast_usd=_projected(usd_of, now, zone),
        burn_usd_per_hour=burn["cost"] or ZERO,
        charge_usd_per_hour=burn["charge"] or ZERO,
        top_spenders=report(
            period=month, sight=STAFF, now=now, group_by=("user",), counts_vms=False, most=TOP
        ).rows,
        open_crossings=list(crossings[:50]),
        days=[row for day in shown.each() for row in of_day.get(day, [])],
    )
