"""django-q2's doors into this app: nothing in, nothing out. Each is safe to run twice and at once."""

from __future__ import annotations

from django.utils import timezone

from billing.services import days, grants, hours, proof
from gamer.queue.enqueue import enqueue

PROOF, PROOF_S = "billing.tasks.prove", 2 * 3600


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
    """Has the ledger proven by a task with a time of its own: it reads every row there is, and more of them every night."""
    enqueue(PROOF, group="ledger", timeout_s=PROOF_S)


def prove() -> None:
    """Proves the ledger, and alarms where a law is broken."""
    proof.prove(timezone.now())
