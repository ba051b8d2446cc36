"""Doors for the queue."""

from __future__ import annotations

from django.utils import timezone

from accounts import invitations, lockout, logins, passwords


def sweep() -> None:
    """Forgets logins that are long over, and failed ones."""
    now = timezone.now()
    logins.sweep(now)
    lockout.sweep(now)


def send_password_reset(email: str) -> None:
    """Mails the way to a new password, should this be somebody's address."""
    passwords.send_reset(email=email, now=timezone.now())


def mail_invitation(invitation_id: str) -> None:
    """Sends an invitation that waits to be sent."""
    invitations.mail(invitation_id, timezone.now())


def mail_invitations_again() -> None:
    """Has invitations sent that the queue gave up on."""
    invitations.mail_again(timezone.now())
