"""`manage.py seed`: what every installation needs before its first request. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from gamer.commands import QuickCommand


class Command(QuickCommand):
    help = (
        "Fills in what is missing: the first administrator, consoles, provider accounts. Safe to repeat: what staff changed stays, "
        "but accounts' credentials follow the environment, in development also the administrator's password."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        for path in settings.SEEDS:
            import_string(path)(now)
            self.stdout.write(f"seeded {path.partition('.')[0]}")
