"""Logging people in by password and, who wants it, a one-time code; and keeping them in.

Access tokens are short, refresh tokens are good once.

A refresh token that comes twice has been stolen or lost, so it ends its whole family (`Login`). Every access is checked
against the person and the login as they are now, so that ending either works at once.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models import F
from django.dispatch import receiver
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from accounts import callers, lockout, second_factor
from accounts.audit import about
from accounts.models import Login, User
from accounts.principal import Principal
from events.services import record
from gamer.errors import NotAuthenticated, RateLimited, bad_field
from gamer.web.throttles import Rate, demand


class Access(Token):
    token_type = "access"
    lifetime = settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]


class Refresh(Token):
    token_type = "refresh"
    lifetime = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh gives."""

    user: User
    access: str
    refresh: str


def log_in(*, email: str, password: str, ip: str, now: datetime, otp: str = "") -> Tokens:
    """A new login. Raises what `prove` and `second_factor.demand` raise."""
    user = prove(email=email, password=password, ip=ip, now=now)
    second_factor.demand(user=user, code=otp, now=now)
    return welcome(user=user, now=now)


def prove(*, email: str, password: str, ip: str, now: datetime) -> User:
    """Whose address and password these are. Every door that takes a password asks here, so that all count together.

    Raises NotAuthenticated, the same for every reason, or RateLimited after repeated failures (`lockout.py`).
    """
    email = email.strip().lower()
    attempt = lockout.attempt_of(email=email, ip=ip, now=now)
    user = authenticate(attempt, username=email, password=password)
    if wait_s := lockout.wait_of(attempt):
        raise RateLimited(f"Too many failed logins; try again in {wait_s} s.", retry_after=wait_s)
    if not isinstance(user, User):
        raise NotAuthenticated("The address or the password is wrong.")
    lockout.forgive(attempt)
    return user


def prove_again(*, user: User, password: str, field: str, ip: str, now: datetime) -> None:
    """Has somebody who is logged in give their password. Raises ValidationError naming the field, or RateLimited."""
    try:
        prove(email=user.email or "", password=password, ip=ip, now=now)
    except NotAuthenticated:
        raise bad_field(field, "This is not your password.") from None


@transaction.atomic
def welcome(*, user: User, now: datetime) -> Tokens:
    """The login of somebody who came in by the front door: noted, unlike `begin`."""
    note(user=user, now=now)
    return begin(user=user, now=now)


def note(*, user: User, now: datetime) -> None:
    """Writes down that somebody came in, by whichever door."""
    User.objects.filter(pk=user.pk).update(last_login=now)
    record(about(user, "login", Principal(user=user), now))


@receiver(user_logged_out, dispatch_uid="accounts.logins.note_logout")
def note_logout(sender: object, user: User | None = None, **_: object) -> None:
    """Writes down the end of an admin session. Django's signal: its view offers no other place."""
    if user is not None:
        record(about(user, "logout", Principal(user=user), timezone.now()))


def begin(*, user: User, now: datetime) -> Tokens:
    """A login of somebody who has proven who they are."""
    login = Login.objects.create(
        user=user,
        stamp=user.get_session_auth_hash(),
        current=uuid.uuid4(),
        created_at=now,
        expires_at=now + Refresh.lifetime,
    )
    return _tokens(user, login.id, login.current, now)


def refresh(*, token: str, ip: str, now: datetime) -> Tokens:
    """The next pair. Raises NotAuthenticated, RateLimited; a token that was used before also ends its family."""
    claims = _paced(token, ip, now)
    login = _login(claims)
    if login is None or not _is_good(login, now):
        raise NotAuthenticated("The refresh token is not valid.")
    successor = uuid.uuid4()
    # Guarded by the token's own id: of two requests with one token, one gets no row.
    asked = _uuid(claims.get("jti"))
    used = Login.objects.live(now).filter(id=login.id, current=asked) if asked else Login.objects.none()
    if not used.update(current=successor, expires_at=now + Refresh.lifetime):
        _end(login, now)
        raise NotAuthenticated("The refresh token is not valid.")
    return _tokens(login.user, login.id, successor, now)


def log_out(*, token: str, ip: str, now: datetime) -> None:
    """Ends the login a refresh token belongs to; safe to repeat. Raises NotAuthenticated for what is no token of ours, RateLimited."""
    login = _login(_paced(token, ip, now))
    with transaction.atomic():
        if login is not None and _end(login, now):
            record(about(login.user, "logout", Principal(user=login.user), now))


@transaction.atomic
def log_out_everywhere(*, by: Principal, user: User, now: datetime) -> None:
    """Ends every login of a person, for them or for staff."""
    end_all(user=user)
    record(about(user, "logout_all", by, now))


def end_all(*, user: User) -> None:
    """Ends every login and admin session of a person, and mails with a way to a new password."""
    User.objects.filter(pk=user.pk).update(token_epoch=F("token_epoch") + 1)
    user.refresh_from_db(fields=["token_epoch"])


def login_of(access: str, now: datetime) -> Login:
    """The login an access token belongs to, with its person. Raises NotAuthenticated."""
    login = _login(_read(Access, access))
    if login is None or not _is_good(login, now):
        raise NotAuthenticated("The token is not valid.")
    return login


def sweep(now: datetime) -> int:
    """Forgets logins that are over for a day; how many."""
    return Login.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()[0]


def _end(login: Login, now: datetime) -> bool:
    return Login.objects.filter(id=login.id, ended_at=None).update(ended_at=now) > 0


def _is_good(login: Login, now: datetime) -> bool:
    is_live = login.ended_at is None and login.expires_at > now and login.user.is_active
    return is_live and constant_time_compare(login.stamp, login.user.get_session_auth_hash())


def _tokens(user: User, login_id: uuid.UUID, current: uuid.UUID, now: datetime) -> Tokens:
    access, following = Access(), Refresh()
    for token in (access, following):
        token.set_iat(at_time=now)
        token.set_exp(from_time=now, lifetime=token.lifetime)
        token["login"] = login_id.hex
    following["jti"] = current.hex
    return Tokens(user, str(access), str(following))


def _paced(text: str, ip: str, now: datetime) -> Token:
    """What a refresh token says, at the pace of the login it names. Of its place only failures count: many people may share one."""
    rate = Rate.named("write")
    try:
        claims = _read(Refresh, text)
    except NotAuthenticated:
        demand(f"refresh-ip:{lockout.place_of(ip)}", rate, now=now)
        raise
    demand(f"refresh:{_uuid(claims.get('login'))}", rate, now=now)
    return claims


def _read(kind: type[Token], text: str) -> Token:
    try:
        return kind(text)  # type: ignore[arg-type]
    except TokenError:
        raise NotAuthenticated("The token is not valid.") from None


def _login(claims: Token) -> Login | None:
    login_id = _uuid(claims.get("login"))
    return callers.login_of_id(login_id) if login_id else None


def _uuid(text: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None
