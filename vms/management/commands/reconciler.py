"""Runs the reconciler: any number of copies on one Postgres. Woken by NOTIFY, polling as the guarantee."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Min

from gamer import heap, tallies
from gamer.commands import QuickCommand
from gamer.queue.wake import listen
from vms import installation
from vms.channels import RECONCILER
from vms.models import VM
from vms.reconcile import claims
from vms.reconcile.loop import Reconciler

log = logging.getLogger(__name__)

LONGEST_NAP_S = 1.0
BUSY_NAP_S = 0.05


class Command(QuickCommand):
    help = "Looks at every VM that is due and decides what is next; the queue's worker acts. `--once` ends when nothing is due."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one pass over what is due now, then exit")

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        installation.notice_a_move(now=claims.database_now())
        reconciler = Reconciler()
        heap.settle()
        try:
            while not stop.is_set():
                try:
                    turn = reconciler.turn()
                    tallies.flush(within_s=tallies.FLUSH_S)
                    nap = 0.0 if turn.applied else self._nap(reconciler, once)
                except (OperationalError, InterfaceError) as error:
                    # Postgres restarts under us: leases expire, rows wait, and we come back.
                    log.warning("database away: %s", error)
                    connection.close()
                    nap = LONGEST_NAP_S
                if once and not turn.applied and not reconciler.is_busy:
                    tallies.flush()
                    return
                if nap:
                    listen(RECONCILER, nap)
        finally:
            reconciler.close()

    def _nap(self, reconciler: Reconciler, once: bool) -> float:
        """Until the next row is due, or somebody rings."""
        if reconciler.is_busy:
            return BUSY_NAP_S
        now = claims.database_now()
        due: datetime | None = (
            VM.objects.live()
            .filter(lease_until=None, is_acting=False)
            .aggregate(at=Min("next_look_at"))["at"]
        )
        left = (due - now) / timedelta(seconds=1) if due else LONGEST_NAP_S
        return min(max(left, BUSY_NAP_S), LONGEST_NAP_S)
