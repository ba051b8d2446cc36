"""A machine that the list does not show. Only its provider's word about that very machine is a proof."""

from __future__ import annotations

from datetime import datetime

from vms.providers.base import Machine, NotFound, Provider, ProviderError
from vms.reconcile.outcome import Subject, Wait, is_proven_absent, later


def sought(subject: Subject, provider: Provider, now: datetime, *, pause_s: float) -> Machine | Wait | None:
    """The machine after all, or the wait for it; None once it is proven gone.

    Lists may be incomplete for as long as they like: after some that do not show it the machine is asked for by its id,
    because to believe them would delete the disk of a player who plays.
    """
    vm, attempt = subject.vm, subject.attempt
    assert attempt is not None
    since, looks = vm.missing_since or now, vm.missing_looks + 1
    if not is_proven_absent(since, looks, now):
        return Wait(seconds=pause_s, vm={"missing_since": since, "missing_looks": looks})
    try:
        return provider.get(attempt.machine_id)
    except NotFound:
        return None
    except ProviderError as error:
        return later(error, subject)
