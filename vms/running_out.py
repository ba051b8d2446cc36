"""Out of credit: the VMs of an empty account are ended by the ordinary wish, at the next look after its last cent.

Looked at for all accounts at once, twice a minute, by whichever reconciler comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from accounts.principal import policy
from billing.models import Hold, Meter
from billing.services import runway
from gamer import prepared
from vms import endings, queries
from vms.lifecycle import Desired
from vms.metering import CHARGED
from vms.models import VM, VMQuerySet

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
ASK_EVERY = timedelta(seconds=5)
BY = policy("credit")


def take_turn(now: datetime) -> bool:
    """Whether it is time to look, and ours to do it; a clock that went back does not put it off."""
    return bool(prepared.rows(TAKE_TURN, [now + EVERY, now, now + 2 * EVERY]))


TAKE_TURN = """
UPDATE vms_installation SET credit_look_at = %s WHERE credit_look_at <= %s OR credit_look_at > %s RETURNING id
"""


def look(now: datetime) -> int:
    """Warns whose credit will end, and ends VMs of those whose it has; how many. What is left the next look ends."""
    found = runway.look(now)
    if not found.empty:
        return 0
    log.warning("out of credit accounts=%s", found.empty)
    playing = paid_by(found.empty).filter(desired=Desired.RUNNING)
    rows = playing.select_related("attempt__account").defer(*queries.HEAVY).order_by("pk")
    ended = 0
    for vm in rows[: endings.AT_ONCE]:
        ended += endings.end(vm=vm, by=BY, action="credit_exhausted", told={}, now=now)
    return ended


def paid_by(accounts: Sequence[int]) -> VMQuerySet:
    """The live VMs that these accounts pay for, or shall once they can be played on.

    Whom a machine is charged to its meter says. The hold may be somebody else's, whose project had no account at the launch, or missing.
    """
    charging = Meter.objects.filter(charge_usd_per_hour__gt=0, centre__payer__in=accounts)
    charged = list(charging.values_list("subject__vm", flat=True))
    held = list(Hold.objects.filter(account__in=accounts).values_list("vm", flat=True))
    return VM.objects.live().filter(Q(pk__anyof=charged) | Q(~Q(phase__in=CHARGED), pk__anyof=held))
