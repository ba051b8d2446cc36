"""What a launch must be able to pay: an hour's price is put aside before anything runs, and given back when it ends."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billing import rating
from billing.services import holds, prices
from emulators.profile import Profile
from vms.metering import payer_of
from vms.models import VM


def hold_for_launch(vm: VM, profile: Profile, quoted: Decimal, now: datetime) -> None:
    """Puts an hour of what the VM was quoted (`quoted`, at the customer's price) aside, else of the rate card.

    Raises InsufficientCredits.
    Where neither knows a price nothing is put aside; `hold_for_machine` follows once a machine is chosen.
    """
    usd = quoted
    if vm.quoted_usd_per_hour is None and profile.preferences:
        provider = vm.wanted_provider or profile.preferences[0].provider
        price = prices.card(now).price(provider, vm.wanted_preset or profile.preset, vm.console_id)
        usd = price.charge_usd_per_hour
    holds.put(vm=vm.pk, account=payer_of(vm, now), usd_per_hour=usd, now=now)


def hold_for_start(vm: VM, now: datetime) -> None:
    """Puts an hour of the VM's machine aside, else of its quote, before it is started or placed anew. Raises InsufficientCredits."""
    if vm.attempt is None:
        hold_for_quote(vm, now)
        return
    usd = vm.attempt.charge_usd_per_hour
    holds.put(vm=vm.pk, account=payer_of(vm, now), usd_per_hour=usd, now=now)


def hold_for_quote(vm: VM, now: datetime) -> None:
    """Puts an hour of the VM's quote aside, before it is placed on another machine. Raises InsufficientCredits."""
    usd = prices.charge_of(vm.quoted_usd_per_hour or rating.ZERO, now)
    holds.put(vm=vm.pk, account=payer_of(vm, now), usd_per_hour=usd, now=now)


def hold_for_machine(vm: VM, usd_per_hour: Decimal, now: datetime) -> None:
    """Follows the price of the machine that was chosen, as far as credit goes."""
    holds.adjust(vm=vm.pk, usd_per_hour=usd_per_hour, now=now)
