"""Out of credit: the VMs of an empty account are ended by the ordinary wish, at the next look after its last cent.

Looked at for all accounts at once, twice a minute, by whichever reconciler comes first.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import connection, transaction

from accounts.principal import policy
from billing.models import Hold
from billing.services import runway
from events.services import record
from gamer.errors import InvalidState
from vms import services
from vms.lifecycle import Desired, Phase
from vms.models import VM, Attempt
from vms.providers import registry
from vms.providers.base import Suspendable
from vms.reconcile.apply import happening

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
ASK_EVERY = timedelta(seconds=5)
BY = policy("credit")
# A stopped machine that costs more than this share of a running one is given back instead (design.md 6).
DEAREST_REST = 4


def take_turn(now: datetime) -> bool:
    """Whether it is time to look, and ours to do it; a clock that went back does not put it off."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE vms_installation SET credit_look_at = %s WHERE credit_look_at <= %s OR credit_look_at > %s",
            [now + EVERY, now, now + 2 * EVERY],
        )
        return bool(cursor.rowcount)


def look(now: datetime) -> int:
    """Warns whose credit will end, and ends the VMs of those whose it has; returns how many VMs."""
    found = runway.look(now)
    if not found.empty:
        log.warning("out of credit accounts=%s", found.empty)
    held = Hold.objects.filter(account__in=found.empty).values_list("vm", flat=True)
    playing = VM.objects.live().filter(pk__in=list(held), desired=Desired.RUNNING)
    ended = 0
    for vm in playing.select_related("owner", "attempt__account").order_by("pk"):
        ended += _end(vm, now)
    return ended


def _end(vm: VM, now: datetime) -> bool:
    """Stops where stopping is cheap and known to be, else ends. What somebody changed meanwhile is left to the next look."""
    is_kept = vm.phase == Phase.READY and vm.attempt is not None and _rests_cheaply(vm.attempt)
    try:
        with transaction.atomic():
            record(
                happening(vm, "credit_exhausted", {"then": "stop" if is_kept else "delete"}, now, BY.label)
            )
            if is_kept:
                services.stop(vm=vm, by=BY, now=now)
            else:
                services.destroy(vm=vm, by=BY, now=now)
    except InvalidState:
        return False
    return True


def _rests_cheaply(attempt: Attempt) -> bool:
    if not issubclass(registry.KINDS[attempt.account.kind], Suspendable):
        return False
    stopped = attempt.stopped_usd_per_hour
    return stopped is not None and stopped * DEAREST_REST <= attempt.usd_per_hour
