"""What providers say of their accounts and machines, kept as rows. Whoever can ask them calls this; here nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from billing import rating
from billing.budgets.watch import zone
from billing.models import FleetDifference, ProviderBalance
from billing.notices import mail_staff
from billing.rating import day_of

LOOKED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Fleet:
    """One provider account: what it says runs, and what our rows say. Prices in USD per hour; machines by the vendor's ids."""

    provider_account: int
    provider: str
    name: str
    their_machines: int
    our_machines: int
    their_usd_per_hour: Decimal | None
    our_usd_per_hour: Decimal
    unknown: Sequence[str] = ()
    missing: Sequence[str] = ()


def wants_look(provider_account: int, now: datetime) -> bool:
    """Whether the account's difference of today is not written yet, or is an hour old."""
    fresh = FleetDifference.objects.filter(
        provider_account=provider_account, day=day_of(now, zone()), looked_at__gt=now - LOOKED_EVERY
    )
    return not fresh.exists()


def note_fleet(fleet: Fleet, now: datetime) -> None:
    """The day's row of an account: written once, brought up to date by every later look."""
    told = {
        "provider": fleet.provider, "name": fleet.name, "looked_at": now, "their_machines": fleet.their_machines,
        "our_machines": fleet.our_machines, "their_usd_per_hour": fleet.their_usd_per_hour,
        "our_usd_per_hour": fleet.our_usd_per_hour, "unknown": list(fleet.unknown)[:100], "missing": list(fleet.missing)[:100],
    }  # fmt: skip
    FleetDifference.objects.update_or_create(
        day=day_of(now, zone()), provider_account=fleet.provider_account, defaults=told
    )


@transaction.atomic
def note_balance(
    *,
    provider_account: int,
    provider: str,
    name: str,
    usd: Decimal,
    usd_per_hour: Decimal | None,
    now: datetime,
) -> bool:
    """What an account has left. Staff are told once when it falls below its mark; whether they were told now."""
    row, _ = ProviderBalance.objects.select_for_update().get_or_create(
        provider_account=provider_account, defaults={"provider": provider, "name": name}
    )
    row.provider, row.name, row.balance_usd, row.usd_per_hour, row.looked_at = (
        provider,
        name,
        usd,
        usd_per_hour,
        now,
    )
    if usd >= row.low_below_usd:
        row.low_since = None
        row.save()
        return False
    is_new = row.low_since is None
    row.low_since = row.low_since or now
    row.save()
    if not is_new:
        return False
    lasts = ""
    if usd_per_hour:
        lasts = f" It lasts {max(usd, Decimal(0)) / usd_per_hour:.1f} hours at the present {usd_per_hour:.2f} USD an hour."
    text = (
        f"The account {name} at {provider} has {usd:.2f} USD left, less than {row.low_below_usd:.2f}.{lasts}"
    )
    return mail_staff(
        key=f"balance:{provider_account}:{now:%Y%m%dT%H%M%S}", kind="billing.balance_low", subject=f"[warning] {name} runs out of money",
        text=text, details={"account": name, "provider": provider, "balance_usd": rating.told(usd)}, action="balance_low", now=now,
    )  # fmt: skip


def differing() -> Q:
    """The days on which something was not as we thought."""
    return ~Q(unknown=[]) | ~Q(missing=[])
