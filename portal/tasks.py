"""Doors for the queue."""

from __future__ import annotations

from django.utils import timezone

from portal import services


def settle() -> None:
    """Ends what nobody may keep, and closes what is empty."""
    services.settle(timezone.now())
