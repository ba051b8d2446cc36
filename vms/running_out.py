"""Out of credit: the VMs of an empty account are ended by the ordinary wish, at the next look after its last cent.

Looked at for all accounts at once, twice a minute, by whichever reconciler comes first.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import connection

from accounts.principal import policy
from billing.models import Hold
from billing.services import runway
from vms import endings
from vms.lifecycle import Desired
from vms.models import VM

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
ASK_EVERY = timedelta(seconds=5)
BY = policy("credit")


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
        return 0
    log.warning("out of credit accounts=%s", found.empty)
    held = Hold.objects.filter(account__in=found.empty).values_list("vm", flat=True)
    playing = VM.objects.live().filter(pk__in=list(held), desired=Desired.RUNNING)
    ended = 0
    for vm in playing.select_related("owner", "attempt__account").order_by("pk"):
        ended += endings.end(vm=vm, by=BY, action="credit_exhausted", told={}, now=now)
    return ended
