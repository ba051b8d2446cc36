"""Who acts for whom, and the people an installation starts with. Keys of services are in `keys.py`."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts import keys
from accounts.models import HANDLE, ApiKey, DepartmentRole, Scope, User
from accounts.principal import Principal, command
from gamer.errors import Conflict, PermissionDenied, bad_field
from gamer.queue import schedules

log = logging.getLogger(__name__)

ADMIN_EMAIL = "admin@gamer.local"
DEMO_KEY_NAME = "Demo"


def resolve_owner(principal: Principal, user_id: str | None) -> User | None:
    """Whose the thing will be that `principal` makes and says is `user_id`'s (contract.md, Auth).

    A person owns it themself and may name nobody else. A key of staff's without a name makes what nobody owns, and ours pays;
    anybody else's makes what its maker owns, by whose credit and limits it is held. With `act_as` a key names any user of its
    department, made on first use, or without a department any user at all; never staff.

    Raises ValidationError (no such name can be), PermissionDenied, Conflict (a name of several departments).
    """
    if principal.key is not None:
        if user_id is not None:
            return _named_by(principal, principal.key, user_id)
        return None if principal.key.maker.is_staff else principal.key.maker
    if principal.user is None:
        raise PermissionDenied("Only people and services own things.")
    if user_id is not None and user_id != principal.user.handle:
        raise _forbidden("A person names only themself.")
    return principal.user


def _named_by(principal: Principal, key: ApiKey, handle: str) -> User:
    if not principal.may(Scope.ACT_AS):
        raise _forbidden("This key may not act as a user; it needs the scope act_as.")
    if not re.match(HANDLE, handle):
        raise bad_field("user_id", "1 to 64 letters, digits and . _ : @ -")
    user = _find(key, handle) or _make(key, handle)
    if user.is_staff or user.is_superuser:
        raise _forbidden("A key does not act as staff.")
    if not user.is_active:
        raise _forbidden("This user is suspended.")
    return user


def _forbidden(text: str) -> PermissionDenied:
    return PermissionDenied(text, details={"user_id": [text]})


def _find(key: ApiKey, handle: str) -> User | None:
    """The user of the key's department; for a key without one, the user without one, else the only one of that name."""
    people = User.objects.select_related("department").filter(handle=handle)
    if key.department_id is not None:
        return people.filter(department_id=key.department_id).first()
    found = list(people.order_by("id")[:20])
    without = [user for user in found if user.department_id is None]
    if without:
        return without[0]
    if len(found) > 1:
        raise Conflict("Several departments have a user of this name; use a key of the department.")
    return found[0] if found else None


def _make(key: ApiKey, handle: str) -> User:
    role = "" if key.department_id is None else DepartmentRole.MEMBER
    user = User(handle=handle, department_id=key.department_id, department_role=role, is_postpaid=True)
    user.set_unusable_password()
    # Two first uses at once: the unique name lets one row in, and both read that one.
    User.objects.bulk_create([user], ignore_conflicts=True)
    return User.objects.within(key.department_id).select_related("department").get(handle=handle)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What `make run` prints; the secrets are in the environment."""

    admin_email: str
    demo_key: ApiKey | None


@transaction.atomic
def seed(now: datetime) -> Seeded:
    """The first administrator and, in development, the demo key. Safe to repeat.

    In development what `make run` prints is what works, so the password follows the environment. In production it is only
    the first one, and without ADMIN_PASSWORD nobody is made.
    """
    schedules.keep("forget old logins", "accounts.tasks.sweep", minutes=24 * 60)
    schedules.keep("mail invitations again", "accounts.tasks.mail_invitations_again", minutes=30)
    env = settings.ENV
    admin = User.objects.filter(email=ADMIN_EMAIL).first()
    if admin is None and env.admin_password:
        admin = User.objects.create_superuser(ADMIN_EMAIL, env.admin_password, handle="admin")
    elif admin is not None and not admin.is_superuser:
        log.warning("the administrator's address is somebody else's email=%s", ADMIN_EMAIL)
        return Seeded(ADMIN_EMAIL, None)
    elif admin is not None and not env.is_production and not admin.check_password(env.admin_password):
        admin.set_password(env.admin_password)
        admin.save(update_fields=["password"])
    if admin is None or env.is_production or not env.demo_api_key:
        return Seeded(ADMIN_EMAIL, None)
    return Seeded(ADMIN_EMAIL, _seed_demo_key(admin, env.demo_api_key, now))


def _seed_demo_key(admin: User, secret: str, now: datetime) -> ApiKey:
    seeder = command("seed")
    for old in ApiKey.objects.filter(name=DEMO_KEY_NAME, maker=admin, revoked_at=None):
        if old.digest == keys.digest_of(secret):
            return old
        keys.revoke(by=seeder, key=old, now=now)
    scopes = list(Scope)
    # A key that was replaced and is wanted again comes back to life: its prefix is taken by itself.
    ApiKey.objects.filter(prefix=keys.prefix_of(secret), name=DEMO_KEY_NAME, maker=admin).delete()
    key, _ = keys.create(by=seeder, maker=admin, name=DEMO_KEY_NAME, scopes=scopes, secret=secret, now=now)
    return key
