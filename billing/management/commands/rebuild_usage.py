"""`manage.py rebuild_usage`: counts the days of usage anew from the intervals, after BILLING_TIME_ZONE changed."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from billing.services import days
from gamer.commands import QuickCommand


class Command(QuickCommand):
    help = "Counts the days of usage anew from the intervals. Meters wait meanwhile; run it after BILLING_TIME_ZONE changed."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{days.rebuild(timezone.now())} days and cost centres counted anew.")
