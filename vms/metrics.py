"""What `/metrics` says of VMs and providers, by settings.METRICS: five queries, none over rows that are over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Min

from gamer.web.metrics import Figure, age_s
from vms.health import condition_of, oldest_waits
from vms.lifecycle import LIVE, Desired, Phase, status_of
from vms.models import VM, Attempt, ProviderAccount, Stray
from vms.reconcile.liveness import SHOUT_AFTER, cost_so_far

MOST_UNPROVEN = 5000


def figures(now: datetime) -> Iterable[Figure]:
    yield from _fleet()
    yield from _loop(now)
    yield from _unproven(now)
    yield from _strays(now)
    yield from _accounts(now)


def _fleet() -> Iterable[Figure]:
    """By the API's status; every status that may last is there, also at nought."""
    counts = {status_of(desired, phase).value: 0 for desired in Desired for phase in LIVE}
    for desired, phase, number in (
        VM.objects.live().order_by().values_list("desired", "phase").annotate(n=Count("pk"))
    ):
        counts[status_of(desired, phase).value] += number
    for status, number in counts.items():
        yield Figure("vms", "VMs that are not over, by status.", number, {"status": status})


def _loop(now: datetime) -> Iterable[Figure]:
    oldest = oldest_waits()
    yield Figure(
        "reconcile_lag_seconds",
        "How late the most overdue look at a VM is that nobody holds.",
        age_s(oldest["due"], now),
    )
    yield Figure(
        "lease_oldest_expired_seconds", "How long ago the oldest lease ran out.", age_s(oldest["lease"], now)
    )


def _unproven(now: datetime) -> Iterable[Figure]:
    """Deletes that should have been proven by now, and what their machines have cost since they were ordered."""
    held = Attempt.objects.held().filter(
        vm__phase=Phase.DELETING, vm__phase_since__lt=now - SHOUT_AFTER, sent_at__isnull=False
    )
    rows = list(held.only("vm_id", "sent_at", "answered_at", "gone_at", "usd_per_hour")[:MOST_UNPROVEN])
    cost = sum((cost_so_far(attempt, now) for attempt in rows), Decimal(0))
    yield Figure(
        "deletes_unproven",
        "VMs whose delete has not been proven for ten minutes.",
        len({one.vm_id for one in rows}),
    )
    yield Figure(
        "deletes_unproven_usd", "What the machines of unproven deletes have cost so far.", float(cost)
    )


def _strays(now: datetime) -> Iterable[Figure]:
    """Whatever keeps one: the vendor refuses, an account is not asked, or the sweep waits for an operator."""
    oldest = Stray.objects.filter(gone_at=None).aggregate(at=Min("first_seen_at"))["at"]
    yield Figure(
        "stray_oldest_seconds",
        "How long the oldest machine that no VM wants has been known and not proven gone.",
        age_s(oldest, now),
    )


def _accounts(now: datetime) -> Iterable[Figure]:
    for account in ProviderAccount.objects.defer("credentials"):
        who = {"account": account.name, "kind": account.kind}
        # A pause that staff made is no fault, and has a word of its own (health.py).
        told = {
            **who,
            "condition": "paused_by_staff" if account.is_paused else condition_of(account, now).value,
        }
        yield Figure("provider_account", "1 for the condition an account is in.", 1, told)
        yield Figure(
            "provider_offers_age_seconds",
            "How old an account's offers are.",
            age_s(account.offers_refreshed_at, now),
            who,
        )
