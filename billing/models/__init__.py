"""The rows of money: what things cost, what was used, and who owes whom. One module per topic; import from here."""

from __future__ import annotations

from billing.models.budgets import Budget, BudgetCrossing, BudgetWatch, Threshold
from billing.models.ledger import CreditAccount, Entry, Grant, Hold, Leg, Verification
from billing.models.providers import FleetDifference, InvoiceLine, ProviderBalance, ProviderInvoice
from billing.models.rates import Margin, Rate, RateFactor
from billing.models.sums import Face, Takeover, UsageDay, UsageSpan, UsageSum, UsageToDate
from billing.models.usage import CostCentre, Meter, Subject, UsageRecord

__all__ = [
    "Budget",
    "BudgetCrossing",
    "BudgetWatch",
    "CostCentre",
    "CreditAccount",
    "Entry",
    "Face",
    "FleetDifference",
    "Grant",
    "Hold",
    "InvoiceLine",
    "Leg",
    "Margin",
    "Meter",
    "ProviderBalance",
    "ProviderInvoice",
    "Rate",
    "RateFactor",
    "Subject",
    "Takeover",
    "Threshold",
    "UsageDay",
    "UsageRecord",
    "UsageSpan",
    "UsageSum",
    "UsageToDate",
    "Verification",
]
