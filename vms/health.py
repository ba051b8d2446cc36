"""What of this app `/health?full=1` looks at, by settings.HEALTH_CHECKS: the loop, its leases, and every provider account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from django.db.models import Min
from django.db.models.functions import Greatest

from gamer.web.health import Part
from vms import offers
from vms.models import VM, ProviderAccount

LATE_S = 60  # a live reconciler looks at a due row within seconds


class Condition(StrEnum):
    """How a provider account is doing, the best first."""

    HEALTHY = "healthy"
    DEMOTED = "demoted"  # answers, but its last orders failed: it comes after all others
    UNKNOWN = "unknown"  # never asked yet
    FAILING = "failing"
    PAUSED = "paused"


def condition_of(account: ProviderAccount, now: datetime) -> Condition:
    if not account.may_buy(now):
        return Condition.PAUSED
    if account.offers_refreshed_at is None and account.last_error_at is None:
        return Condition.UNKNOWN
    is_stale = account.offers_refreshed_at is None or now - account.offers_refreshed_at > offers.USABLE
    if is_stale or offers.is_resting(account, now):
        return Condition.FAILING
    return Condition.DEMOTED if offers.demoted_until(account, now) else Condition.HEALTHY


def parts(now: datetime) -> Iterable[Part]:
    """The reconciler's backlog and leases in one query, the accounts in another."""
    oldest = oldest_waits()
    yield _lateness("reconciler", "a VM has waited for its look", oldest["due"], now)
    yield _lateness("leases", "a lease ran out and nobody took the VM over", oldest["lease"], now)
    for account in ProviderAccount.objects.defer("credentials"):
        yield _account(account, now)


def oldest_waits() -> dict[str, datetime | None]:
    """Since when the most overdue row is `due`, and when the oldest `lease` ran out; one query.

    A row that somebody holds waits for nobody, though it stays due until its step is done: an order may take two minutes.
    """
    waits_since = Greatest("next_look_at", "lease_until")  # null is passed over: most rows have no lease
    return VM.objects.live().aggregate(due=Min(waits_since), lease=Min("lease_until"))


def _lateness(name: str, fault: str, moment: datetime | None, now: datetime) -> Part:
    late_s = 0 if moment is None else max(0, round((now - moment).total_seconds()))
    return Part(name, f"{fault} for {late_s} s" if late_s > LATE_S else "", {"oldest_s": late_s})


def _account(account: ProviderAccount, now: datetime) -> Part:
    """A pause that staff made is no fault. Of an error only its class is told: the text may name what is not everybody's."""
    condition = condition_of(account, now)
    why = (account.paused_why if condition is Condition.PAUSED else account.last_error).partition(":")[0]
    is_fault = condition is Condition.FAILING or (condition is Condition.PAUSED and not account.is_paused)
    figures = {
        "kind": account.kind,
        "condition": condition.value,
        "failures_in_a_row": account.failures_in_a_row,
        "last_answered_at": account.last_answered_at,
        "offers_refreshed_at": account.offers_refreshed_at,
    }
    return Part(
        f"provider {account.name}",
        f"{condition.value}: {why or 'no offers lately'}" if is_fault else "",
        figures,
    )
