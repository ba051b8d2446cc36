"""django-q2's doors into this app: nothing in, nothing out. Each is safe to run twice and at once."""

from __future__ import annotations

from django.utils import timezone

from billing.services import days, grants, hours, proof


def close_hours() -> None:
    """Closes the full hours of all running meters."""
    hours.close_hours(timezone.now())


def fold_sums() -> None:
    """Makes fewer rows of what was added to the sums since the last time."""
    days.fold(timezone.now())


def expire_credit() -> None:
    """Takes back credit whose time is over."""
    grants.expire(timezone.now())


def verify() -> None:
    """Proves the ledger, and alarms where a law is broken."""
    proof.prove(timezone.now())
