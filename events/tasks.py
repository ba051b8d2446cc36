"""Doors for the queue: nothing in, nothing out."""

from __future__ import annotations

import time

from django.utils import timezone

from events import deliveries, services

# The last batch starts within this time, so that the slowest still ends before the queue's time-out.
START_WITHIN_S = 30


def deliver() -> None:
    """Sends what is due until nothing is, or the time is up."""
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until and deliveries.deliver_due(timezone.now(), timezone.now):
        pass


def sweep() -> None:
    deliveries.sweep(timezone.now())


def erase_ips() -> None:
    services.erase_ips(now=timezone.now())
