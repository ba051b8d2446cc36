"""Doors for the queue."""

from __future__ import annotations

from django.utils import timezone

from accounts import logins


def sweep() -> None:
    """Forgets logins that are long over."""
    logins.sweep(timezone.now())
