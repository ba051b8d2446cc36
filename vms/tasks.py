"""django-q2's doors into this app: ids in, nothing out. Every task claims its rows again by token first."""

from __future__ import annotations

import time

from django.utils import timezone

from gamer import tallies
from gamer.queue.wake import ring
from vms import archive, bills, leftovers, metering
from vms.channels import RECONCILER
from vms.reconcile import claims
from vms.reconcile.acting import Actor

# A task starts its last batch within this time, so that a slow create still ends before the queue's time-out.
START_WITHIN_S = 20


def repair_meters() -> None:
    """Puts right the meters that differ from the machines' rows."""
    metering.repair(timezone.now())


def act() -> None:
    """Acts on due rows until there are none, or its time is up."""
    actor = Actor()
    until = time.monotonic() + START_WITHIN_S
    try:
        while time.monotonic() < until and actor.run_batch():
            ring(RECONCILER)
    finally:
        actor.close()
    tallies.flush()


def archive_ended() -> None:
    """Takes from VMs that ended long ago what nobody needs any more."""
    archive.archive(timezone.now())


def forget_leftovers() -> None:
    """Removes what our own hosts keep of machines that are gone."""
    leftovers.forget()


def look_at_balances() -> None:
    """Asks the providers that tell it what is left on our accounts."""
    bills.look_at_balances(claims.database_now())
