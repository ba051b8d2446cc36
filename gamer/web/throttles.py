"""How fast somebody may write. The pace is kept in Postgres, because many processes serve one caller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from gamer.errors import RateLimited
from gamer.web.models import Allowance

PERIODS = {"s": 1, "min": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, flowing back evenly over `period_s`."""

    burst: int
    period_s: int

    @classmethod
    def named(cls, name: str) -> Rate:
        """A rate of settings.REST_FRAMEWORK, like `120/min`."""
        number, _, period = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"][name].partition("/")
        return cls(int(number), PERIODS[period])

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.period_s / self.burst)


TAKE = """
    INSERT INTO gamer_web_allowance AS kept (name, full_at) VALUES (%(name)s, %(now)s + %(interval)s)
    ON CONFLICT (name) DO UPDATE SET full_at = GREATEST(kept.full_at, %(now)s) + %(interval)s
    WHERE GREATEST(kept.full_at, %(now)s) + %(interval)s <= %(now)s + %(period)s
    RETURNING full_at
"""


def take(name: str, rate: Rate, *, now: datetime) -> int:
    """Takes one from the caller's allowance. Answers 0, or the whole seconds to wait when nothing is left.

    One statement, so that callers in many processes cannot take the same one.
    """
    period = timedelta(seconds=rate.period_s)
    values: dict[str, Any] = {"name": name[:200], "now": now, "interval": rate.interval, "period": period}
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        if cursor.fetchone():
            return 0
    full_at = Allowance.objects.values_list("full_at", flat=True).filter(name=name[:200]).first() or now
    return max(1, math.ceil((full_at + rate.interval - period - now).total_seconds()))


def give_back(name: str, rate: Rate) -> None:
    """Undoes one `take`."""
    undo = "UPDATE gamer_web_allowance SET full_at = full_at - make_interval(secs => %s) WHERE name = %s"
    with connection.cursor() as cursor:
        cursor.execute(undo, [rate.interval.total_seconds(), name[:200]])


def demand(name: str, rate: Rate, *, now: datetime) -> None:
    """Takes one, or raises RateLimited with the time to wait."""
    if wait_s := take(name, rate, now=now):
        raise RateLimited(f"Too many requests; try again in {wait_s} s.", retry_after=wait_s)


def sweep(now: datetime) -> int:
    """Forgets callers whose allowance is full again; how many."""
    return Allowance.objects.filter(full_at__lt=now).delete()[0]


def client_ip(request: HttpRequest | Request) -> str:
    """The caller's address, as far as REST_FRAMEWORK["NUM_PROXIES"] proxies of ours are to be believed."""
    return str(BaseThrottle().get_ident(cast(Request, request)) or "unknown")[:100]


def caller(request: Request) -> str:
    """Whose request it is: the key's, the person's, or that of somebody unknown at an address."""
    principal = getattr(request, "principal", None)
    return principal.identity if principal is not None else f"ip:{client_ip(request)}"


def payers(request: Request) -> tuple[str, ...]:
    """Whose allowances a request takes from: the caller's, and for a player's key the player's."""
    principal = getattr(request, "principal", None)
    return principal.payers if principal is not None else (caller(request),)


class WriteThrottle(BaseThrottle):
    """The default of every view: each write takes one of the caller's `write` rate; reads are free."""

    rate_name = "write"

    def __init__(self) -> None:
        self.wait_s: float | None = None

    def counts(self, request: Request) -> bool:
        return request.method not in SAFE_METHODS

    def allow_request(self, request: Request, view: Any) -> bool:
        if not self.counts(request):
            return True
        rate, now, taken = Rate.named(self.rate_name), timezone.now(), list[str]()
        for payer in payers(request):
            name = f"{self.rate_name}:{payer}"
            if wait_s := take(name, rate, now=now):
                self.wait_s = wait_s
                for paid in taken:  # what is refused costs nobody
                    give_back(paid, rate)
                return False
            taken.append(name)
        return True

    def wait(self) -> float | None:
        return self.wait_s


class ReadThrottle(WriteThrottle):
    """Of a view whose reads are dear, beside the default: each read takes one of a rate that the view's own class names."""

    def counts(self, request: Request) -> bool:
        return not super().counts(request)
