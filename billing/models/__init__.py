"""The rows of money: what things cost, what was used, and who owes whom. One module per topic; import from here."""

from __future__ import annotations

from billing.models.ledger import CreditAccount, Entry, Grant, Hold, Leg, Verification
from billing.models.rates import Margin, Rate, RateFactor
from billing.models.usage import CostCentre, Meter, Subject, UsageDay, UsageRecord

__all__ = [
    "CostCentre",
    "CreditAccount",
    "Entry",
    "Grant",
    "Hold",
    "Leg",
    "Margin",
    "Meter",
    "Rate",
    "RateFactor",
    "Subject",
    "UsageDay",
    "UsageRecord",
    "Verification",
]
