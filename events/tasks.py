"""What the queue calls: no arguments, nothing out."""

from __future__ import annotations

from django.utils import timezone

from events import services


def erase_ips() -> None:
    services.erase_ips(now=timezone.now())
