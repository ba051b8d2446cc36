"""`manage.py scan_library`: compares the library with the games now, in this process, and says what it found."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.principal import command
from emulators.models import LibraryFile, LibraryScan
from emulators.services import scanning
from gamer.commands import QuickCommand
from gamer.context import about
from gamer.errors import GamerError

BY = command("scan_library")


class Command(QuickCommand):
    help = "Lists the library of games, makes the games that are new, and marks what is gone. Exit status 1 when it failed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--findings", action="store_true", help="also list every file that is no game's")

    def handle(self, *args: Any, findings: bool = False, **options: Any) -> None:
        with about(actor=BY.label):
            try:
                scan, _ = scanning.ask(by=BY, now=timezone.now(), is_own_work=True)
            except GamerError as error:
                raise CommandError(error.message) from error
            if not scanning.carry_out(scan_id=scan.pk, now=timezone.now(), tell=self._tell):
                raise CommandError(
                    f"Another process is at scan {scan.pk}: look at Library scans in the admin."
                )
        if self.stderr.isatty():
            self.stderr.write("")
        scan.refresh_from_db()
        self._sum_up(scan)
        if findings:
            self._list()

    def _tell(self, folder: str, files: int) -> None:
        """One line that changes, on a terminal."""
        if self.stderr.isatty():
            self.stderr.write(f"\r{files:,} files  {folder[:40]:<40}", ending="")

    def _sum_up(self, scan: LibraryScan) -> None:
        if scan.state != LibraryScan.State.DONE:
            raise CommandError(scan.error_text or f"The scan is {scan.state}.")
        self.stdout.write(
            f"{scan.files:,} files: {scan.made:,} new games, {scan.linked:,} games given a file, "
            f"{scan.missing:,} games without their file."
        )
        labels = dict(LibraryFile.Finding.choices)
        for finding, count in sorted(scan.findings.items()):
            self.stdout.write(f"{count:>8,}  {labels.get(finding, finding)}")

    def _list(self) -> None:
        rows = LibraryFile.objects.exclude(finding="").filter(missing_since=None).order_by("path")
        for path, finding in rows.values_list("path", "finding").iterator():
            self.stdout.write(f"{finding}\t{path}")
        for path in LibraryFile.objects.filter(missing_since__isnull=False).values_list("path", flat=True):
            self.stdout.write(f"missing\t{path}")
