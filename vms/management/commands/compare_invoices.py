"""`manage.py compare_invoices PROVIDER`: imported invoices beside our own figures, by day and machine, as CSV."""

from __future__ import annotations

import argparse
import csv
import sys
from datetime import date
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from billing.budgets.watch import zone
from billing.kinds import KINDS, kind_of
from billing.periods import month_so_far
from gamer.commands import QuickCommand, day
from vms import bills

HEAD = ("day", "machine_id", "theirs_usd", "ours_usd", "difference_usd")


class Command(QuickCommand):
    help = "Lists what a provider asks, what we metered, and the difference, for each machine and day with either."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("provider", type=kind_of, choices=KINDS)
        parser.add_argument("--from", dest="start", type=day, metavar="DAY", help="this month's first")
        parser.add_argument("--to", dest="end", type=day, metavar="DAY", help="today")

    def handle(self, *args: Any, provider: str, start: date | None, end: date | None, **options: Any) -> None:
        month = month_so_far(timezone.now(), zone())
        first, last = start or month.start, end or month.end
        if last < first:
            raise CommandError(f"--to ({last}) is before --from ({first})")
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(HEAD)
        for one in bills.compare(provider, first, last):
            figures = (
                "" if usd is None else usd for usd in (one.theirs_usd, one.ours_usd, one.difference_usd)
            )
            writer.writerow([one.day, one.machine_id, *figures])
