"""Whose money somebody may see, and which kind of it: the one place that decides it for every report.

Staff and keys with `billing` see what providers ask. A department's manager sees exactly what the department's people
are charged, a person what they are charged. Knows columns by name only, so that any model may ask it.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from accounts.models import MANAGING, Scope
from accounts.principal import Principal


@dataclass(frozen=True, slots=True)
class Sight:
    """`department_id` and `user_id` narrow what is seen; neither, with `is_everything` False, is the players' (a service's)."""

    shows_cost: bool = False
    is_everything: bool = False
    department_id: int | None = None
    user_id: int | None = None
    may_steer: bool = False  # budgets of what is seen

    def of(self, prefix: str = "") -> Q:
        """The cost centres that are seen, for a query of them or, with a prefix like `centre__`, of what has one."""
        if self.is_everything:
            return Q()
        if self.department_id is not None:
            return Q(**{f"{prefix}department": self.department_id})
        if self.user_id is not None:
            return Q(**{f"{prefix}user": self.user_id})
        return Q(**{f"{prefix}user__is_staff": False, f"{prefix}user__is_superuser": False})


def sight_of(principal: Principal) -> Sight:
    """What a principal sees of money."""
    key, user = principal.key, principal.user
    if key is None and user is None:
        return Sight(shows_cost=True, is_everything=True, may_steer=True)  # our own
    if principal.is_staff:
        return Sight(shows_cost=True, is_everything=True, may_steer=True)
    if key is not None:
        may_bill = principal.may(Scope.BILLING)
        if key.maker.is_staff and key.department_id is not None:
            return Sight(shows_cost=may_bill, department_id=key.department_id, may_steer=may_bill)
        if may_bill:
            return Sight(shows_cost=True, is_everything=True, may_steer=True)
        speaks_for_all = key.maker.is_staff and Scope.ACT_AS in key.scopes
        return Sight() if speaks_for_all else Sight(user_id=key.maker_id)
    assert user is not None
    if user.department_role in MANAGING:
        return Sight(department_id=user.department_id, may_steer=True)
    return Sight(user_id=user.pk)
