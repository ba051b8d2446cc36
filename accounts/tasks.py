"""Doors for the queue."""

from __future__ import annotations

from django.utils import timezone

from accounts import invitations, logins


def sweep() -> None:
    """Forgets logins that are long over."""
    logins.sweep(timezone.now())


def mail_invitation(invitation_id: str) -> None:
    """Sends an invitation that waits to be sent."""
    invitations.mail(invitation_id, timezone.now())
