"""The admin's front page: money against its limits, what runs, what went wrong. Bounded queries, and only what one may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing import providers
from billing.admin.costs.charts import cost_by_provider
from billing.admin.costs.table import Cell, dollars, name_of
from billing.budgets.notices import subject_of
from billing.budgets.watch import spent, zone
from billing.models import (
    Budget,
    BudgetCrossing,
    CreditAccount,
    FleetDifference,
    ProviderBalance,
    Verification,
)
from billing.models.budgets import BudgetPeriod, Covers, severity_of
from billing.periods import last_days
from billing.rating import day_of
from billing.reports import FrontPage, front_page_figures
from billing.reports.spending import SHOWN_DAYS, WARNING_PERCENT
from vms.admin import dashboard

SHOWN = 8
# What each kind of alert tells of, and where it leads.
WATCHED = (
    *("billing.view_budget", "billing.view_providerbalance", "billing.view_verification"),
    *("billing.view_fleetdifference", "vms.view_stray", "billing.view_creditaccount"),
)
COLOURS = {"critical": "danger", "warning": "warning"}


May = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Limit:
    """What is spent of a budget over everything, and how it reads."""

    name: str
    words: str
    percent: int
    severity: str
    link: str


@dataclass(frozen=True, slots=True)
class Alert:
    colour: str
    word: str
    text: str
    link: str


def front_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: adds what `admin/index.html` shows."""
    now = timezone.now()
    shown = {**context, "title": "Overview", **dashboard.machines(request, now)}
    if request.user.has_perm("billing.view_usageday"):
        shown["money"] = _money(now, request.user.has_perm)
    return shown


def _money(now: datetime, may: May) -> dict[str, Any]:
    here = zone()
    figures = front_page_figures(now=now, zone=here)
    seen = [one for one in WATCHED if may(one)]
    return {
        "tiles": list(_tiles(figures)),
        "limits": list(_limits(now)) if may("billing.view_budget") else None,
        "alerts": list(_alerts(figures.open_crossings, now, may))[: 3 * SHOWN] if seen else None,
        "sees_all": len(seen) == len(WATCHED),
        "spenders": [
            {"name": name_of(row), "link": _costs(range="month", user=_key(row.keys[0]), by="console"), "cost": dollars(row.cost_usd),
             "charge": dollars(row.charge_usd)}
            for row in figures.top_spenders
        ],
        "chart": cost_by_provider(figures.days, last_days(SHOWN_DAYS, now, here)),
    }  # fmt: skip


def _tiles(figures: FrontPage) -> Iterator[tuple[str, Cell, str, str]]:
    """Name, figure, a word beside it, and where it leads."""
    today, month = figures.today, figures.month
    yield (
        "Spent today",
        dollars(today.cost_usd),
        f"{dollars(today.charge_usd)[0]} charged",
        _costs(range="today"),
    )
    yield (
        "Spent this month",
        dollars(month.cost_usd),
        f"{dollars(month.charge_usd)[0]} charged",
        _costs(range="month"),
    )
    yield (
        "Month's forecast",
        dollars(figures.forecast_usd),
        "at the pace of a week",
        _costs(range="month", by="day"),
    )
    pace = figures.burn_usd_per_hour, figures.charge_usd_per_hour
    yield (
        "Burning now, an hour",
        dollars(pace[0], 3),
        f"{dollars(pace[1], 3)[0]} charged",
        _costs(range="today", by="console"),
    )


def _limits(now: datetime) -> Iterator[Limit]:
    budgets = list(Budget.objects.filter(covers=Covers.GLOBAL, is_active=True).order_by("-id")[:SHOWN])
    sums = spent(now, budgets) if budgets else {}
    for budget in budgets:
        if budget.pk not in sums:
            continue  # its days are over, or still to come
        *_, used = sums[budget.pk]
        percent = int(used * 100 / budget.limit_usd)
        period = {BudgetPeriod.DAILY: "today", BudgetPeriod.MONTHLY: "this month"}.get(
            BudgetPeriod(budget.period), f"until {budget.ends_on}"
        )
        severity = severity_of(percent) if percent >= WARNING_PERCENT else ""
        words = f"{dollars(used)[0]} of {dollars(budget.limit_usd)[0]} {period}, {percent} %"
        yield Limit(budget.name, words, percent, severity, _page("billing_budget_change", budget.pk))


def _alerts(crossings: Sequence[BudgetCrossing], now: datetime, may: May) -> Iterator[Alert]:
    """What is not well, the worst first: only of what one may look at, as each leads there."""
    if may("billing.view_budget"):
        yield from _crossings(crossings)
    if may("billing.view_providerbalance"):
        yield from _balances()
    if may("billing.view_verification"):
        yield from _books()
    if may("billing.view_fleetdifference") and may("vms.view_stray"):
        yield from _differences(now)
    if may("billing.view_creditaccount"):
        yield from _credits()


def _crossings(crossings: Sequence[BudgetCrossing]) -> Iterator[Alert]:
    highest: dict[int, BudgetCrossing] = {}
    for one in crossings:  # the highest first
        highest.setdefault(one.budget_id, one)
    for one in [*highest.values()][:SHOWN]:
        text = f"{one.budget.name}, {subject_of(one.budget)}: {dollars(one.spent_usd)[0]} of {dollars(one.limit_usd)[0]}"
        yield Alert(
            COLOURS[one.severity], f"{one.percent} %", text, _page("billing_budget_change", one.budget_id)
        )


def _balances() -> Iterator[Alert]:
    for row in ProviderBalance.objects.filter(low_since__isnull=False).order_by("balance_usd")[:SHOWN]:
        text = f"{row.name} at {row.provider} has {dollars(row.balance_usd or Decimal(0))[0]} left"
        yield Alert("danger", "low balance", text, _page("billing_providerbalance_change", row.pk))


def _books() -> Iterator[Alert]:
    proof = Verification.objects.first()
    if proof is not None and proof.broken:
        laws = "; ".join(sorted(proof.broken))
        text = f"The books do not add up: {laws}"
        yield Alert("danger", "ledger", text, _page("billing_verification_change", proof.pk))


def _differences(now: datetime) -> Iterator[Alert]:
    today = day_of(now, zone())
    for differs in FleetDifference.objects.filter(providers.differing(), day=today).order_by("name")[:SHOWN]:
        text = f"{differs.name}: {len(differs.unknown)} machines nobody wants, {len(differs.missing)} missing"
        yield Alert("warning", "fleet", text, _page("vms_stray_changelist"))


def _credits() -> Iterator[Alert]:
    out = CreditAccount.objects.filter(warned_at__isnull=False).order_by("-warned_at")
    for account in out.select_related("user", "project", "department")[:SHOWN]:
        text = f"{account} runs out: {dollars(account.balance_usd)[0]} left"
        yield Alert("warning", "low credit", text, _page("billing_creditaccount_change", account.pk))


def _costs(**asked: str) -> str:
    return f"{reverse('admin:billing_usageday_changelist')}?{urlencode(asked)}"


def _key(user_id: object) -> str:
    return "-" if user_id is None else f"#{user_id}"


def _page(name: str, *args: object) -> str:
    return reverse(f"admin:{name}", args=args)
