"""What a view demands: `permission_classes = [needs(Scope.LAUNCH)]`."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.models import Scope
from accounts.principal import Principal


class Needs(BasePermission):
    """Base of what `needs` makes."""

    read: Scope
    write: Scope

    def has_permission(self, request: Request, view: Any) -> bool:
        principal = request.auth
        if not isinstance(principal, Principal):
            return False
        scope = self.read if request.method in SAFE_METHODS else self.write
        self.message = f"This needs the scope {scope}."
        return principal.may(scope)


def needs(write: Scope, *, read: Scope = Scope.READ) -> type[Needs]:
    """A permission class: `read` for GET, `write` for the rest. People have `read` and `launch`, staff all."""
    return type(f"Needs{write.name.title()}", (Needs,), {"read": read, "write": write})


class StaffOnly(BasePermission):
    """Staff in person, or staff's key with `admin`."""

    message = "Staff only."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Principal) and request.auth.is_staff


class PeopleOnly(BasePermission):
    """Somebody in person: a key has no profile, password or login."""

    message = "Only for people."

    def has_permission(self, request: Request, view: Any) -> bool:
        principal = request.auth
        return isinstance(principal, Principal) and principal.user is not None and principal.key is None


class PeopleOrStaffKeys(PeopleOnly):
    """Somebody in person, or staff's key with `admin`: other keys make no keys."""

    message = "Only for people, and for staff's keys with the scope admin."

    def has_permission(self, request: Request, view: Any) -> bool:
        is_staffs = isinstance(request.auth, Principal) and request.auth.is_staff
        return is_staffs or super().has_permission(request, view)
