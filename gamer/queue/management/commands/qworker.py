"""`manage.py qworker`: runs queued tasks until SIGTERM. Needs a supervisor that starts it again on any exit."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from gamer.checks import ENVIRONMENT
from gamer.queue import worker


class Command(BaseCommand):
    help = "Runs queued tasks and schedules. Ends when one of its processes is killed, so run it under a supervisor."
    requires_system_checks = (ENVIRONMENT,)  # those of the code are for `check`, and import all pages

    def handle(self, *args: Any, **options: Any) -> None:
        if status := worker.run(stuck_after_s=settings.QUEUE_STUCK_AFTER_S):
            sys.exit(status)
