"""Who may ask about themself."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.principal import Principal


class PersonOnly(BasePermission):
    """A person with their own login. A key is not its maker."""

    message = "This is for people, with their own login."

    def has_permission(self, request: Request, view: Any) -> bool:
        by = request.auth
        return isinstance(by, Principal) and by.user is not None and by.key is None
