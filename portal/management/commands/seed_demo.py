"""People, machines, what these measured, and money of the last thirty days that never were, all called `demo`."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from gamer.commands import QuickCommand
from portal import demo


class Command(QuickCommand):
    help = (
        "Fills the last 30 days with usage, metrics and events of made-up people; safe to repeat. "
        "Books are never unwritten: not for production."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--force", action="store_true", help="also in production")

    def handle(self, *args: Any, force: bool = False, **options: Any) -> None:
        if settings.ENV.is_production and not force:
            raise CommandError(
                "This is production, and what is booked stays for ever. If that is meant: --force"
            )
        try:
            made = demo.seed(timezone.now(), self._tell)
        except demo.NoConsoles:
            raise CommandError("There are no consoles yet. First: manage.py seed") from None
        if made and self.stdout.isatty():
            self.stdout.write("")
        self.stdout.write(f"{made} machines of demo people made." if made else "All of it was there already.")

    def _tell(self, done: int, total: int) -> None:
        if self.stdout.isatty() and (done % 10 == 0 or done == total):
            self.stdout.write(f"\r{done} of {total} machines", ending="")
            self.stdout.flush()
