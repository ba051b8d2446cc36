"""What a launch must be able to pay: an hour's price is put aside before anything runs, and given back when it ends."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billing import rating
from billing.services import holds, prices
from emulators.profile import Profile
from vms.metering import payer_of, regroup
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
    _hold_again(vm, vm.attempt.charge_usd_per_hour, now)


def hold_for_quote(vm: VM, now: datetime) -> None:
    """Puts an hour of the VM's quote aside, before it is placed on another machine. Raises InsufficientCredits."""
    _hold_again(vm, prices.charge_of(vm.quoted_usd_per_hour or rating.ZERO, now), now)


def _hold_again(vm: VM, usd_per_hour: Decimal, now: datetime) -> None:
    """Puts an hour aside for a VM that is there. Its payer may have got an account since its machine was ordered: it counts there, too."""
    holds.put(vm=vm.pk, account=regroup(vm=vm, now=now), usd_per_hour=usd_per_hour, now=now)


def hold_for_machine(vm: VM, usd_per_hour: Decimal, now: datetime) -> None:
    """Follows the price of the machine that was chosen, as far as credit goes."""
    holds.adjust(vm=vm.pk, usd_per_hour=usd_per_hour, now=now)
