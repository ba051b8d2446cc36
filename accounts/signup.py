"""Signing up, and what people may change about themselves."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts import lockout, logins, passwords
from accounts.audit import about
from accounts.logins import Tokens
from accounts.models import User, handle_for
from accounts.principal import Principal
from accounts.services import ADMIN_EMAIL
from events.services import record
from gamer.errors import Conflict
from gamer.web.throttles import Rate, demand

SUFFIX_BYTES = 4


def sign_up(*, email: str, password: str, first_name: str, last_name: str, ip: str, now: datetime) -> Tokens:
    """A new player, prepaid and of no department, logged in.

    Raises ValidationError naming the field, RateLimited (per place, so that nobody tries out addresses), Conflict for an
    address that somebody has.
    """
    email = email.strip().lower()
    user = User(email=email, handle=handle_for(email), first_name=first_name, last_name=last_name)
    passwords.check(password, user=user, field="password")
    demand(f"signup-ip:{lockout.place_of(ip)}", Rate.named("signup_ip"), now=now)
    # Nobody's while it is not seeded: commands take whoever has it for the administrator.
    if email == ADMIN_EMAIL or User.objects.filter(email=email).exists():
        raise _taken()
    user.set_password(password)
    with transaction.atomic():
        _insert(user)
        record(about(user, "create", Principal(user=user), now, door="signup"))
        return logins.welcome(user=user, now=now)


def _insert(user: User) -> None:
    """Writes the row. The name may be that of somebody whom a service spoke for; then it gets an ending of its own."""
    if User.objects.within(None).filter(handle=user.handle).exists():
        user.handle = f"{user.handle[:55]}-{secrets.token_hex(SUFFIX_BYTES)}"
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:  # somebody was faster, with the same address
        raise _taken() from None


def _taken() -> Conflict:
    text = "Somebody has signed up with this address."
    return Conflict(text, details={"email": [text]})


@transaction.atomic
def edit_profile(*, user: User, now: datetime, **changes: str) -> User:
    """Changes `first_name` or `last_name`."""
    changed = {name: value for name, value in changes.items() if getattr(user, name) != value}
    if changed:
        User.objects.filter(pk=user.pk).update(**changed)
        user.refresh_from_db(fields=list(changed))
        record(about(user, "update", Principal(user=user), now, changed=sorted(changed)))
    return user
