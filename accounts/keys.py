"""Keys of services: making, knowing, rotating and ending them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from accounts import callers
from accounts.audit import about
from accounts.models import ApiKey, Department, Scope, User
from accounts.principal import Principal, scopes_for
from events.services import Happening, record
from gamer.errors import Conflict, InvalidState, NotAuthenticated, PermissionDenied, bad_field

MOST_KEYS = 100  # usable ones of one person who is no staff
LONGEST_GRACE = timedelta(days=7)


def make_secret(prefix: str = "") -> str:
    """A key's text: `gk_<prefix>_<secret>`, the prefix to find it by, 256 random bits."""
    return f"gk_{prefix or secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def prefix_of(secret: str) -> str:
    """What a key is found by. One that an operator made up in another shape is found by its hash."""
    match = re.match(r"gk_([A-Za-z0-9]{4,16})_.", secret)
    return match[1] if match else digest_of(secret)[:12]


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_of(secret: str, *, now: datetime) -> ApiKey:
    """The usable key with this text, its use noted. Raises NotAuthenticated, the same for every reason."""
    key = callers.key_of_prefix(prefix_of(secret), now)
    digest = digest_of(secret)
    is_good = hmac.compare_digest(key.digest if key is not None else "", digest)
    is_former = hmac.compare_digest(_former_digest(key, now), digest)
    if key is None or not (is_good or is_former):
        raise NotAuthenticated("The API key is not valid.")
    key.touch(now)
    return key


def _former_digest(key: ApiKey | None, now: datetime) -> str:
    """What was good before the rotation, for as long as its grace lasts."""
    if key is None or key.former_until is None or key.former_until <= now:
        return ""
    return key.former_digest


@transaction.atomic
def create(
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

    Raises ValidationError for unknown scopes and an expiry in the past, PermissionDenied for more power than its maker's,
    Conflict for too many.
    """
    chosen = sorted(set(map(str, scopes)))
    if not chosen or set(chosen) - set(Scope.values):
        raise bad_field("scopes", f"One or more of {', '.join(Scope.values)}.")
    _check_expiry(expires_at, now)
    _check_power(maker, chosen, department)
    _check_number(maker, now)
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
    record(_about(key, "create", by, now, scopes=chosen))
    return key, text


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise bad_field("expires_at", "In the past.")


def _check_power(maker: User, scopes: Collection[str], department: Department | None) -> None:
    if maker.is_staff:
        return
    if department is not None and department.pk != maker.department_id:
        raise PermissionDenied("Only staff make keys of other departments.")
    allowed = scopes_for(maker, department.pk if department is not None else None)
    if excess := sorted(set(scopes) - {str(scope) for scope in allowed}):
        who = "a department's managers, in its keys, and staff" if excess == [Scope.ACT_AS] else "staff"
        raise PermissionDenied(f"Only {who} make keys with {', '.join(excess)}.")


def _check_number(maker: User, now: datetime) -> None:
    if maker.is_staff:
        return
    # Two at once would both be the last.
    User.objects.select_for_update(no_key=True).get(pk=maker.pk)
    if ApiKey.objects.usable(now).filter(maker=maker).count() >= MOST_KEYS:
        raise Conflict(f"You have {MOST_KEYS} keys; revoke one first.")


@transaction.atomic
def update(*, by: Principal, key: ApiKey, now: datetime, **changes: object) -> ApiKey:
    """Changes `name` or `expires_at`.

    Raises ValidationError for an expiry in the past, InvalidState for a revoked key, PermissionDenied for another's.
    """
    _demand_own(by, key)
    expires_at = changes.get("expires_at")
    if isinstance(expires_at, datetime):
        _check_expiry(expires_at, now)
    key = _lock(key)
    changed = {name: value for name, value in changes.items() if getattr(key, name) != value}
    for name, value in changed.items():
        setattr(key, name, value)
    if changed:
        key.save(update_fields=list(changed))
        record(_about(key, "update", by, now, changed=sorted(changed)))
    return key


@transaction.atomic
def rotate(
    *, by: Principal, key: ApiKey, grace: timedelta = timedelta(0), now: datetime
) -> tuple[ApiKey, str]:
    """The same key under a new text, shown once. The old text is good until the grace is over; one older than it ends now.

    Raises ValidationError for a grace of more than a week, InvalidState for a key that is revoked or has expired,
    PermissionDenied for another's: who knows the text has the powers of the maker.
    """
    _demand_own(by, key)
    if not timedelta(0) <= grace <= LONGEST_GRACE:
        raise bad_field("grace_s", f"From 0 to {int(LONGEST_GRACE.total_seconds())} seconds.")
    key = _lock(key)
    if key.expires_at is not None and key.expires_at <= now:
        raise InvalidState("This key has expired; give it another expiry first.")
    text = make_secret(key.prefix)
    key.former_digest, key.former_until = (key.digest, now + grace) if grace else ("", None)
    key.digest = digest_of(text)
    key.save(update_fields=["digest", "former_digest", "former_until"])
    record(_about(key, "rotate", by, now, grace_s=int(grace.total_seconds())))
    return key, text


@transaction.atomic
def revoke(*, by: Principal, key: ApiKey, now: datetime) -> None:
    """Ends a key for ever; safe to repeat."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        record(_about(key, "delete", by, now))
    key.refresh_from_db(fields=["revoked_at"])


@transaction.atomic
def revoke_all(*, by: Principal, maker: User, now: datetime) -> int:
    """Ends every key somebody made; how many."""
    living = list(ApiKey.objects.select_for_update(of=("self",)).filter(maker=maker, revoked_at=None))
    ApiKey.objects.filter(pk__in=[key.pk for key in living]).update(revoked_at=now)
    record(*(_about(key, "delete", by, now) for key in living))
    return len(living)


def _demand_own(by: Principal, key: ApiKey) -> None:
    is_own = by.user is not None and by.user.pk == key.maker_id
    if not (is_own or by.outranks(key.maker)):
        raise PermissionDenied("Only its maker and staff change a key; you may revoke it.")


def _lock(key: ApiKey) -> ApiKey:
    locked = (
        ApiKey.objects.select_for_update(of=("self",)).select_related("maker", "department").get(pk=key.pk)
    )
    if locked.revoked_at is not None:
        raise InvalidState("This key is revoked.")
    return locked


def _about(key: ApiKey, action: str, by: Principal, now: datetime, **details: object) -> Happening:
    happening = about(key.maker, action, by, now, api_key=key.prefix, name=key.name, **details)
    return replace(happening, department_id=key.department_id)
