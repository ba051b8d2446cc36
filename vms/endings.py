"""One way for a policy to end a VM that runs: stopped where its machine is cheap to keep, else given back. Saves outlive it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.principal import Principal
from events.services import record
from gamer.errors import InvalidState
from vms import services
from vms.lifecycle import Phase, rests_cheaply
from vms.models import VM
from vms.providers import registry
from vms.providers.base import Suspendable
from vms.reconcile.apply import happening

AT_ONCE = 500  # VMs ended by one look; the next one goes on


def end(*, vm: VM, by: Principal, action: str, told: Mapping[str, Any], now: datetime) -> bool:
    """Ends a running VM and says so with an event of that action; what is `told` gets `then`, stop or delete, beside it.

    False when it changed meanwhile: nothing is said then, and the next look finds it as it is. Load `attempt__account` with it.
    """
    is_kept = is_worth_keeping(vm)
    try:
        with transaction.atomic():
            VM.objects.filter(pk=vm.pk).hold()
            record(happening(vm, action, {**told, "then": "stop" if is_kept else "delete"}, now, by.label))
            if is_kept:
                services.stop(vm=vm, by=by, now=now)
            else:
                services.destroy(vm=vm, by=by, now=now)
    except InvalidState:
        return False
    return True


def is_worth_keeping(vm: VM) -> bool:
    """Whether its machine can be stopped, and is known to cost little then."""
    if vm.phase != Phase.READY or vm.attempt is None:
        return False
    adapter = registry.KINDS.get(vm.attempt.account.kind)
    if adapter is None or not issubclass(adapter, Suspendable):
        return False
    return rests_cheaply(vm.attempt.usd_per_hour, vm.attempt.stopped_usd_per_hour)
