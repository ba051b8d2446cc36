"""Having the reconciler look at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Case, DateTimeField, Q, Value, When
from django.db.models.functions import Least

from gamer.queue.wake import ring
from vms.channels import RECONCILER
from vms.lifecycle import LIVE
from vms.models import VM


def poke(vm: VM, now: datetime) -> None:
    """The next look is now."""
    VM.objects.filter(pk=vm.pk, phase__in=LIVE).update(**poked(now))
    ring(RECONCILER)


def poked(now: datetime) -> dict[str, Any]:
    """The columns of a row whose next look is now, also when a step is under way and would set a later one.

    One that is due and that nobody has taken stays as late as it is: who takes it must know for how long nobody came.
    """
    at = Value(now, DateTimeField())
    is_free = Q(lease_until=None) | Q(lease_until__lt=now)
    sooner = Case(When(is_free, then=Least("next_look_at", at)), default=at)
    return {"next_look_at": sooner, "is_acting": False, "is_poked": True}
