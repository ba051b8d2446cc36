"""`manage.py import_invoice PROVIDER FILE`: a provider's invoice as CSV; the same file or line only once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.principal import command
from billing import invoices
from billing.kinds import KINDS, kind_of
from gamer.commands import QuickCommand
from gamer.errors import GamerError


class Command(QuickCommand):
    help = "Imports a provider's invoice (CSV with day, machine_id, amount and, if there is one, line_id). All of it or nothing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("provider", type=kind_of, choices=KINDS)
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, provider: str, file: Path, **options: Any) -> None:
        try:
            content = file.read_bytes()
            found = invoices.load(
                by=command("import_invoice"), provider=provider, file_name=file.name, content=content, now=timezone.now()
            )  # fmt: skip
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        except GamerError as error:
            lines = [f"{name}: {text}" for name, texts in error.details.items() for text in texts]
            raise CommandError("\n".join(dict.fromkeys([error.message, *lines]))) from None
        self.stdout.write(f"{found.new} lines imported, {found.known} known already")
