"""Who acts for whom, keys of services, and the people an installation starts with."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.models import HANDLE, ApiKey, Department, DepartmentRole, Scope, User
from accounts.principal import PLAYER_SCOPES, Principal, command
from events.services import Happening, record
from gamer.errors import Conflict, NotAuthenticated, PermissionDenied, bad_field
from gamer.queue import schedules

ADMIN_EMAIL = "admin@gamer.local"
DEMO_KEY_NAME = "Demo"


def resolve_owner(principal: Principal, user_id: str | None) -> User | None:
    """Whose the thing will be that `principal` makes and says is `user_id`'s (contract.md, Auth).

    A person owns it themself and may name nobody else. A key without a name makes what nobody owns; with `act_as` it names
    any user of its department, made on first use, or without a department any user at all; never staff.

    Raises ValidationError (no such name can be), PermissionDenied, Conflict (a name of several departments).
    """
    if principal.key is not None:
        return None if user_id is None else _named_by(principal, principal.key, user_id)
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


def make_secret() -> str:
    """A new key's text: `gk_<prefix>_<secret>`, the prefix to find it by, 256 random bits."""
    return f"gk_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def prefix_of(secret: str) -> str:
    """What a key is found by. One that an operator made up in another shape is found by its hash."""
    match = re.match(r"gk_([A-Za-z0-9]{4,16})_.", secret)
    return match[1] if match else digest_of(secret)[:12]


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_of(secret: str, *, now: datetime) -> ApiKey:
    """The usable key with this text, its use noted. Raises NotAuthenticated, the same for every reason."""
    key = (
        ApiKey.objects.usable(now)
        .select_related("maker", "department")
        .filter(prefix=prefix_of(secret))
        .first()
    )
    digest = key.digest if key is not None else ""
    if not hmac.compare_digest(digest, digest_of(secret)) or key is None:
        raise NotAuthenticated("The API key is not valid.")
    key.touch(now)
    return key


@transaction.atomic
def create_api_key(
    *,
    by: Principal,
    maker: User,
    name: str,
    scopes: Collection[Scope | str],
    department: Department | None = None,
    expires_at: datetime | None = None,
    secret: str | None = None,
    now: datetime,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is nowhere afterwards. `secret` sets the text (development only).

    Raises ValidationError for unknown scopes and an expiry in the past, PermissionDenied for more power than its maker's.
    """
    chosen = sorted(set(map(str, scopes)))
    if not chosen or set(chosen) - set(Scope.values):
        raise bad_field("scopes", f"One or more of {', '.join(Scope.values)}.")
    if expires_at is not None and expires_at <= now:
        raise bad_field("expires_at", "In the past.")
    if not maker.is_staff:
        if excess := sorted(set(chosen) - {str(scope) for scope in PLAYER_SCOPES}):
            raise PermissionDenied(f"Only staff make keys with {', '.join(excess)}.")
        if department is not None and department.pk != maker.department_id:
            raise PermissionDenied("Only staff make keys of other departments.")
    text = secret or make_secret()
    key = ApiKey.objects.create(
        name=name,
        prefix=prefix_of(text),
        digest=digest_of(text),
        scopes=chosen,
        department=department,
        maker=maker,
        created_at=now,
        expires_at=expires_at,
    )
    record(_about_key(key, "create", by, now, scopes=chosen))
    return key, text


@transaction.atomic
def revoke_api_key(*, by: Principal, key: ApiKey, now: datetime) -> None:
    """Ends a key for ever; safe to repeat."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        record(_about_key(key, "delete", by, now))
    key.refresh_from_db(fields=["revoked_at"])


def _about_key(key: ApiKey, action: str, by: Principal, now: datetime, **details: object) -> Happening:
    return Happening(
        at=now,
        actor=by.label,
        action=action,
        resource="users",
        resource_id=key.maker.handle,
        details={"api_key": key.prefix, "name": key.name, **details},
        owner_id=key.maker_id,
        department_id=key.department_id,
    )


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
    env = settings.ENV
    admin = User.objects.filter(email=ADMIN_EMAIL).first()
    if admin is None and env.admin_password:
        admin = User.objects.create_superuser(ADMIN_EMAIL, env.admin_password, handle="admin")
    elif admin is not None and not env.is_production and not admin.check_password(env.admin_password):
        admin.set_password(env.admin_password)
        admin.save(update_fields=["password"])
    if admin is None or env.is_production or not env.demo_api_key:
        return Seeded(ADMIN_EMAIL, None)
    return Seeded(ADMIN_EMAIL, _seed_demo_key(admin, env.demo_api_key, now))


def _seed_demo_key(admin: User, secret: str, now: datetime) -> ApiKey:
    seeder = command("seed")
    for old in ApiKey.objects.filter(name=DEMO_KEY_NAME, maker=admin, revoked_at=None):
        if old.digest == digest_of(secret):
            return old
        revoke_api_key(by=seeder, key=old, now=now)
    scopes = list(Scope)
    # A key that was replaced and is wanted again comes back to life: its prefix is taken by itself.
    ApiKey.objects.filter(prefix=prefix_of(secret), name=DEMO_KEY_NAME, maker=admin).delete()
    key, _ = create_api_key(by=seeder, maker=admin, name=DEMO_KEY_NAME, scopes=scopes, secret=secret, now=now)
    return key
