"""Forgetting what is past its time: answers kept for Idempotency-Keys, callers' paces, browser sessions, failed tasks."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module

from django.conf import settings
from django.utils import timezone

from gamer.queue import failures, schedules
from gamer.web import idempotency, throttles


def seed(now: datetime) -> None:
    """Has the sweep run every hour."""
    schedules.keep("forget old requests", "gamer.web.tasks.sweep", minutes=60)


def sweep() -> None:
    now = timezone.now()
    idempotency.sweep(now)
    throttles.sweep(now)
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    failures.forget(now)
