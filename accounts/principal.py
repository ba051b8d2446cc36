"""Who is asking: one small value that services take instead of a request."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import ApiKey, Scope, User


@dataclass(frozen=True, slots=True)
class Principal:
    """A person (`user`), a service (`key`, with `user` its maker), or one of our own policies (neither)."""

    user: User | None = None
    key: ApiKey | None = None
    policy: str = ""

    @property
    def label(self) -> str:
        """The actor of an event."""
        if self.key is not None:
            return f"key:{self.key.prefix}"
        if self.user is not None:
            return f"user:{self.user.handle}"
        return f"policy:{self.policy}"

    @property
    def is_staff(self) -> bool:
        """Sees every row: staff in person, our own policies, and staff's keys with `admin`."""
        if self.key is not None:
            return self.may(Scope.ADMIN) and self.key.maker.is_staff
        return self.user.is_staff if self.user is not None else bool(self.policy)

    def may(self, scope: Scope) -> bool:
        """Whether a key carries the scope. A person has the scopes of their role; a policy has all."""
        if self.key is not None:
            return scope in self.key.scopes or Scope.ADMIN in self.key.scopes
        if self.user is not None:
            return self.user.is_staff or scope in (Scope.READ, Scope.LAUNCH)
        return bool(self.policy)


def policy(name: str) -> Principal:
    """One of our own: the reconciler, a command, a limit."""
    return Principal(policy=name)
