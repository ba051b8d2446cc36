"""`manage.py qworker`: runs queued tasks until SIGTERM. Needs a supervisor that starts it again on any exit."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings

from gamer.commands import QuickCommand
from gamer.queue import worker


class Command(QuickCommand):
    help = "Runs queued tasks and schedules. Ends when one of its processes is killed, so run it under a supervisor."

    def handle(self, *args: Any, **options: Any) -> None:
        if status := worker.run(stuck_after_s=settings.QUEUE_STUCK_AFTER_S):
            sys.exit(status)
