"""For vendors whose API tells what is left of the money: the mixin beside `base.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on the account, USD, and what everything on it costs an hour now; None where the vendor does not say."""

    usd: Decimal
    usd_per_hour: Decimal | None = None


class Prepaid(ABC):
    """A provider that tells its account's balance."""

    @abstractmethod
    def balance(self) -> Balance:
        """The balance now. Called every ten minutes or so; safe to repeat. Raises Unavailable, BadCredentials."""
