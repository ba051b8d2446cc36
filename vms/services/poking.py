"""Having the reconciler look at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gamer.queue.wake import ring
from vms.channels import RECONCILER
from vms.lifecycle import LIVE
from vms.models import VM


def poke(vm: VM, now: datetime) -> None:
    """The next look is now."""
    VM.objects.filter(pk=vm.pk, phase__in=LIVE).update(**poked(now))
    ring(RECONCILER)


def poked(now: datetime) -> dict[str, Any]:
    """The columns of a row whose next look is now, also when a step is under way and would set a later one."""
    return {"next_look_at": now, "is_acting": False, "is_poked": True}
