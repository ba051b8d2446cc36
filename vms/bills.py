"""What providers say against what our rows say: machines, money an hour, invoices. Billing keeps it; we know whose machine is whose."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from billing import providers
from billing.models import InvoiceLine, UsageRecord
from billing.providers import Fleet
from vms import installation
from vms.models import Attempt, ProviderAccount, Stray
from vms.provider_accounts import open_provider
from vms.providers.balance import Prepaid
from vms.providers.base import ProviderError, installation_of
from vms.reconcile import claims
from vms.reconcile.outcome import Snapshot

log = logging.getLogger(__name__)

# Machines that come or go this very moment are no difference.
GRACE = timedelta(minutes=10)


def note_difference(account: ProviderAccount, snapshot: Snapshot, now: datetime) -> None:
    """Keeps once an hour, as one row a day, how an account's list differs from our rows. Only machines of this installation."""
    if not providers.wants_look(account.pk, now):
        return
    ours_there = {
        machine.machine_id: machine
        for machine in snapshot.by_id.values()
        if installation_of(machine.tag) == installation.identifier()
    }
    held = Attempt.objects.held().filter(account=account).exclude(machine_id="")
    rows = {
        row[0]: row[1:] for row in held.values_list("machine_id", "usd_per_hour", "answered_at", "closed_at")
    }
    old_strays = Stray.objects.filter(account=account, gone_at=None, first_seen_at__lte=now - GRACE)
    unknown = sorted(set(old_strays.values_list("machine_id", flat=True)) & set(ours_there))
    missing = sorted(
        machine_id
        for machine_id, (_, answered_at, closed_at) in rows.items()
        if machine_id not in ours_there
        and closed_at is None
        and (answered_at is None or answered_at <= now - GRACE)
    )
    told = [machine.usd_per_hour for machine in ours_there.values()]
    providers.note_fleet(
        Fleet(
            provider_account=account.pk, provider=account.kind, name=account.name, their_machines=len(ours_there),
            our_machines=len(rows), unknown=unknown, missing=missing,
            their_usd_per_hour=None if None in told else sum((one for one in told if one is not None), Decimal(0)),
            our_usd_per_hour=sum((row[0] for row in rows.values()), Decimal(0)),
        ),
        now,
    )  # fmt: skip


def look_at_balances(now: datetime) -> int:
    """Asks every account whose provider tells its balance; how many answered. One that does not is asked again next time."""
    answered = 0
    for account in ProviderAccount.objects.order_by("pk"):
        try:
            provider = open_provider(account)
        except ValueError as error:
            log.warning("balance of %s: %s", account.name, error)
            continue
        if not isinstance(provider, Prepaid) or not claims.take_calls(account.pk, 1, now):
            continue
        try:
            balance = provider.balance()
        except ProviderError as error:
            log.warning("balance of %s: %s: %s", account.name, type(error).__name__, error)
            continue
        providers.note_balance(
            provider_account=account.pk, provider=account.kind, name=account.name, usd=balance.usd,
            usd_per_hour=balance.usd_per_hour, now=now,
        )  # fmt: skip
        answered += 1
    return answered


@dataclass(frozen=True, slots=True)
class Compared:
    """One machine on one day: what the provider asks, and what we have metered. A machine that we do not know has no `ours`."""

    day: date
    machine_id: str
    theirs_usd: Decimal | None
    ours_usd: Decimal | None

    @property
    def difference_usd(self) -> Decimal:
        return (self.theirs_usd or Decimal(0)) - (self.ours_usd or Decimal(0))


def compare(provider: str, start: date, end: date) -> Iterator[Compared]:
    """Invoices beside our own figures, by day and machine, of days that have either."""
    theirs = _asked(provider, start, end)
    ours = _metered(provider, start, end)
    for day, machine_id in sorted(theirs.keys() | ours.keys()):
        yield Compared(day, machine_id, theirs.get((day, machine_id)), ours.get((day, machine_id)))


def _asked(provider: str, start: date, end: date) -> Mapping[tuple[date, str], Decimal]:
    lines = InvoiceLine.objects.filter(provider=provider, day__range=(start, end)).order_by()
    rows = lines.values_list("day", "machine_id").annotate(usd=Sum("amount_usd"))
    return {(day, machine_id): usd for day, machine_id, usd in rows}


def _metered(provider: str, start: date, end: date) -> Mapping[tuple[date, str], Decimal]:
    """By the vendor's machine ids; what never got one is named by its key."""
    records = UsageRecord.objects.filter(centre__provider=provider, day__range=(start, end)).order_by()
    rows = list(records.values_list("day", "subject__key").annotate(usd=Sum("cost_usd")))
    names = _machines(key for _, key, _ in rows)
    sums: dict[tuple[date, str], Decimal] = {}
    for day, key, usd in rows:
        place = (day, names.get(key) or key)
        sums[place] = sums.get(place, Decimal(0)) + usd
    return sums


def _machines(keys: Iterable[str]) -> dict[str, str]:
    """The vendor's id for each metered machine."""
    ids: dict[str, set[int]] = {"attempt": set(), "stray": set()}
    for key in keys:
        kind, _, number = key.partition(":")
        if kind in ids and number.isdigit():
            ids[kind].add(int(number))
    found: dict[str, str] = {}
    for kind, model in (("attempt", Attempt), ("stray", Stray)):
        pairs = model.objects.filter(pk__in=ids[kind]).values_list("pk", "machine_id")
        found |= {f"{kind}:{pk}": machine_id for pk, machine_id in pairs}
    return found
