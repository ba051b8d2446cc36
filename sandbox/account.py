"""The organisation's prepaid balance, run down per second by what its instances cost."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.clock import Clock, Timer

DELETED_AFTER_S = 96 * 3600.0


class Account:
    """Below zero everything is stopped; 96 hours below zero everything is deleted."""

    def __init__(self, clock: Clock, balance_usd: float, stop_all: Callable[[float], None]) -> None:
        self._clock = clock
        self._stop_all = stop_all
        self._balance_usd = balance_usd
        self._usd_per_hour = 0.0
        self._settled_at = clock.now()
        self._timer: Timer | None = None
        self.below_zero_since: float | None = None

    @property
    def balance_usd(self) -> float:
        return self._balance_at(self._clock.now())

    @property
    def usd_per_hour(self) -> float:
        return self._usd_per_hour

    def _balance_at(self, moment: float) -> float:
        return self._balance_usd - self._usd_per_hour * max(0.0, moment - self._settled_at) / 3600

    def charge(self, usd_per_hour: float, at: float) -> None:
        """From `at` on, this is what everything together costs."""
        self._balance_usd = self._balance_at(at)
        self._settled_at = max(at, self._settled_at)
        self._usd_per_hour = max(0.0, usd_per_hour)
        self._watch()

    def set_balance(self, balance_usd: float) -> None:
        self._settled_at = self._clock.now()
        self._balance_usd = balance_usd
        if balance_usd >= 0:
            self.below_zero_since = None
        self._watch()

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.below_zero_since is not None or (self._usd_per_hour == 0 and self._balance_usd >= 0):
            return
        left_s = max(0.0, self._balance_usd / self._usd_per_hour * 3600) if self._usd_per_hour else 0.0
        self._timer = self._clock.at(self._settled_at + left_s, self._ran_out)

    def _ran_out(self, at: float) -> None:
        self._timer = None
        self.below_zero_since = at
        self._stop_all(at)
