"""`manage.py verify_ledger`: counts every law of money again from the rows, in one moment. Exit 1 where one is broken."""

from __future__ import annotations

import sys
from typing import Any

from django.utils import timezone

from billing.services import proof
from gamer.commands import QuickCommand


class Command(QuickCommand):
    help = "Proves that the ledger sums to zero, balances equal the replay of all entries and no interval is counted twice."

    def handle(self, *args: Any, **options: Any) -> None:
        findings: list[proof.Finding] = []
        with proof.one_moment():
            for finding in proof.verify():
                findings.append(finding)
                mark = "ok    " if finding.holds else "BROKEN"
                self.stdout.write(f"{mark}  {finding.law}")
                if not finding.holds:
                    self.stdout.write(f"        {finding.broken} rows, such as {', '.join(finding.examples)}")
                self.stdout.flush()
        proof.keep(findings, timezone.now())
        if not all(finding.holds for finding in findings):
            sys.exit(1)
