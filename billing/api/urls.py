"""The paths of this app. `/billing/usage/{provider}` names VMs and is in `vms.api`."""

from django.urls import URLPattern

from billing.api.budget_views import BudgetsView, BudgetView
from billing.api.credit_views import CreditsView, TransactionsView
from billing.api.report_views import (
    AlertsView,
    CombinedUsageView,
    CurrentMonthView,
    CustomUsageView,
    DailyCostsView,
    ReportView,
)
from gamer.web.routing import route

urlpatterns: list[URLPattern] = [
    route("billing/credits", CreditsView.as_view(), "credits"),
    route("billing/transactions", TransactionsView.as_view(), "transactions"),
    route("billing/usage/combined", CombinedUsageView.as_view(), "combined-usage"),
    route("billing/usage/custom", CustomUsageView.as_view(), "custom-usage"),
    route("billing/costs/current-month", CurrentMonthView.as_view(), "current-month-costs"),
    route("billing/costs/daily", DailyCostsView.as_view(), "daily-costs"),
    route("billing/alerts", AlertsView.as_view(), "billing-alerts"),
    route("billing/reports", ReportView.as_view(), "billing-report"),
    route("billing/budgets", BudgetsView.as_view(), "budgets"),
    route("billing/budgets/<int:budget_id>", BudgetView.as_view(), "budget"),
]
