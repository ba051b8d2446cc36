"""Who is asking: one small value that services take instead of a request."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.http import HttpRequest
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from accounts.models import MANAGING, ApiKey, Scope, User

PLAYER_SCOPES = frozenset({Scope.READ, Scope.LAUNCH})
MANAGER_SCOPES = PLAYER_SCOPES | {Scope.ACT_AS}  # of keys for the department that their maker manages


@dataclass(frozen=True, slots=True)
class Principal:
    """A person (`user`), a service (`key`, with `user` its maker), or one of our own: a policy or a command (neither)."""

    user: User | None = None
    key: ApiKey | None = None
    policy: str = ""
    command: str = ""
    login_id: uuid.UUID | None = None  # by which login a person came, when by token

    @property
    def label(self) -> str:
        """The actor of an event."""
        if self.key is not None:
            return f"key:{self.key.prefix}"
        if self.user is not None:
            return f"user:{self.user.handle}"
        return f"command:{self.command}" if self.command else f"policy:{self.policy}"

    @property
    def identity(self) -> str:
        """Who this is to throttles and idempotency keys: unlike a handle, unique in the installation."""
        if self.key is not None:
            return f"key:{self.key.pk}"
        return f"user:{self.user.pk}" if self.user is not None else self.label

    @property
    def payers(self) -> tuple[str, ...]:
        """Whose allowances a request takes from. A player's hundred keys write no faster than the player; staff's are services."""
        if self.key is not None and not self.key.maker.is_staff:
            return self.identity, Principal(user=self.key.maker).identity
        return (self.identity,)

    @property
    def is_staff(self) -> bool:
        """Sees every row: staff in person, our own, and staff's keys with `admin`."""
        if self.key is not None:
            return Scope.ADMIN in self.key.scopes and self.key.maker.is_staff
        return self.user.is_staff if self.user is not None else self._is_ours

    @property
    def department_id(self) -> int | None:
        """The department a person is of, or a key speaks for. A key outlives no membership of its maker's."""
        if self.key is not None:
            is_still = self.key.maker.is_staff or self.key.maker.department_id == self.key.department_id
            return self.key.department_id if is_still else None
        return self.user.department_id if self.user is not None else None

    @property
    def managed_id(self) -> int | None:
        """The department a person manages or owns. A key manages none: tenants are run by people, and by the staff."""
        if self.key is not None or self.user is None or self.user.department_role not in MANAGING:
            return None
        return self.user.department_id

    def may(self, scope: Scope) -> bool:
        """Whether a key carries the scope and its maker still has it. A person has the scopes of their role; our own have all."""
        if self.key is not None:
            carries = scope in self.key.scopes or Scope.ADMIN in self.key.scopes
            return carries and scope in scopes_for(self.key.maker, self.key.department_id)
        if self.user is not None:
            return self.user.is_staff or scope in PLAYER_SCOPES
        return self._is_ours

    def outranks(self, user: User) -> bool:
        """Whether this may lock somebody out and in: staff, and for an administrator an administrator."""
        return self.is_staff and (not user.is_superuser or self.user is None or self.user.is_superuser)

    @property
    def _is_ours(self) -> bool:
        return bool(self.policy or self.command)


def scopes_for(maker: User, department_id: int | None) -> frozenset[Scope]:
    """What a key of this department may do at most when this person makes it."""
    if maker.is_staff:
        return frozenset(Scope)
    return MANAGER_SCOPES if maker.manages(department_id) else PLAYER_SCOPES


def policy(name: str) -> Principal:
    """One of our own that acts by itself: the reconciler, a limit."""
    return Principal(policy=name)


def command(name: str) -> Principal:
    """Whoever may run management commands on this installation."""
    return Principal(command=name)


def principal_of(request: Request) -> Principal:
    """Who sent the request. Raises NotAuthenticated when nobody is known."""
    if isinstance(request.auth, Principal):
        return request.auth
    raise NotAuthenticated


def at_admin(request: HttpRequest) -> Principal:
    """Who is at the admin."""
    assert isinstance(request.user, User)
    return Principal(user=request.user)
