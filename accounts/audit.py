"""How this room's events name their subject."""

from __future__ import annotations

from datetime import datetime

from accounts.models import User
from accounts.principal import Principal
from events.services import Happening


def about(user: User, action: str, by: Principal, now: datetime, **details: object) -> Happening:
    """Something that happened to a person, for them and their department to see."""
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
