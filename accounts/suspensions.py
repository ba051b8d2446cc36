"""Suspending a person and taking them back. Their VMs are ended above, in `portal`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import logins
from accounts.models import User
from accounts.principal import Principal
from events.services import Happening, record
from gamer.errors import Conflict, PermissionDenied, bad_field

MOST_WORDS = 500


def suspend(*, by: Principal, user: User, reason: str, now: datetime) -> None:
    """Ends every login and key of a person at once and lets no new one begin; safe to repeat.

    Raises PermissionDenied for all but staff (an administrator only by another one), Conflict for oneself, ValidationError
    without a reason.
    """
    _demand_may(by, user)
    if by.user is not None and by.user.pk == user.pk:
        raise Conflict("Nobody suspends themself.")
    if not reason.strip():
        raise bad_field("reason", "Say why; it is kept.")
    with transaction.atomic():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if row.is_active:
            User.objects.filter(pk=row.pk).update(is_active=False)
            logins.end_all(user=row)
            record(_about(row, "suspend", by, now, reason=reason.strip()[:MOST_WORDS]))
    user.refresh_from_db(fields=["is_active", "token_epoch"])


def reinstate(*, by: Principal, user: User, now: datetime) -> None:
    """Lets a person in again; what was ended stays ended. Safe to repeat. Raises PermissionDenied."""
    _demand_may(by, user)
    with transaction.atomic():
        if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
            record(_about(user, "resume", by, now))
    user.refresh_from_db(fields=["is_active"])


def _demand_may(by: Principal, user: User) -> None:
    if not by.is_staff:
        raise PermissionDenied("Staff only.")
    is_administrator = by.user is None or by.user.is_superuser
    if user.is_superuser and not is_administrator:
        raise PermissionDenied("Only an administrator suspends an administrator.")


def _about(user: User, action: str, by: Principal, now: datetime, **details: Any) -> Happening:
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="users",
        resource_id=user.handle,
        details=details,
        owner_id=user.pk,
        department_id=user.department_id,
    )
