"""What a launch must be able to pay: an hour's price is put aside before anything runs, and given back when it ends."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billing import rating
from billing.services import holds, prices
from emulators.profile import Profile
from emulators.services import profile_for
from vms.metering import payer_of, regroup
from vms.models import VM


def hold_for_launch(vm: VM, profile: Profile, quoted: Decimal, now: datetime) -> None:
    """Puts an hour of what the VM was quoted (`quoted`, at the customer's price) aside, else of the rate card.

    Raises InsufficientCredits.
    Where neither knows a price nothing is put aside; `hold_for_machine` follows once a machine is chosen.
    """
    usd = quoted if vm.quoted_usd_per_hour is not None else _of_card(vm, profile, now)
    holds.put(vm=vm.pk, account=payer_of(vm, now), usd_per_hour=usd, now=now)


def hold_for_start(vm: VM, now: datetime) -> None:
    """Puts an hour of the VM's machine aside, else of its quote, before it is started or placed anew. Raises InsufficientCredits."""
    if vm.attempt is None:
        hold_for_quote(vm, now)
        return
    _hold_again(vm, vm.attempt.charge_usd_per_hour, now)


def hold_for_quote(vm: VM, now: datetime) -> None:
    """Puts an hour of the VM's quote aside, else of the rate card, before it is placed on another machine.

    Raises InsufficientCredits, NotFound where the card is asked for a console that is no longer configured.
    """
    if vm.quoted_usd_per_hour is not None:
        usd = prices.charge_of(vm.quoted_usd_per_hour, now)
    else:
        usd = _of_card(vm, profile_for(console=vm.console_id, game_id=vm.game_id or None), now)
    _hold_again(vm, usd, now)


def _of_card(vm: VM, profile: Profile, now: datetime) -> Decimal:
    """What an hour is charged by the rate card, on the provider that the launch names or that comes first."""
    if not profile.preferences:
        return rating.ZERO
    provider = vm.wanted_provider or profile.preferences[0].provider
    return (
        prices.card(now)
        .price(provider, vm.wanted_preset or profile.preset, vm.console_id)
        .charge_usd_per_hour
    )


def _hold_again(vm: VM, usd_per_hour: Decimal, now: datetime) -> None:
    """Puts an hour aside for a VM that is there. Its payer may have got an account since its machine was ordered: it counts there, too."""
    holds.put(vm=vm.pk, account=regroup(vm=vm, now=now), usd_per_hour=usd_per_hour, now=now)


def hold_for_machine(vm: VM, usd_per_hour: Decimal, now: datetime) -> None:
    """Follows the price of the machine that was chosen, as far as credit goes."""
    holds.adjust(vm=vm.pk, usd_per_hour=usd_per_hour, now=now)
