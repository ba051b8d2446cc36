"""Logging people in by password, and keeping them in: short access tokens, refresh tokens that are good once.

A refresh token that comes twice has been stolen or lost, so it ends its whole family (`Login`). Every access is checked
against the person and the login as they are now, so that ending either works at once.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import F
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from accounts.models import Login, User
from gamer.errors import NotAuthenticated
from gamer.web.throttles import Rate, demand, give_back


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


def log_in(*, email: str, password: str, ip: str, now: datetime) -> Tokens:
    """A new login. Raises what `prove` raises."""
    user = prove(email=email, password=password, ip=ip, now=now)
    User.objects.filter(pk=user.pk).update(last_login=now)
    return begin(user=user, now=now)


def prove(*, email: str, password: str, ip: str, now: datetime) -> User:
    """Whose address and password these are. Every door that takes a password asks here, so that all count together.

    Raises NotAuthenticated, the same for every reason, or RateLimited after repeated failures. The attempt is taken from the
    allowances before the password is looked at and given back when it was right, so that attempts at the same moment are
    counted too. The address of the network comes first: who has used that up does not lock others' accounts.
    """
    email = email.strip().lower()
    hashed = hashlib.sha256(email.encode()).hexdigest()
    allowances = (
        (f"login-ip:{ip}", Rate.named("login_ip")),
        (f"login-email:{hashed}", Rate.named("login_email")),
    )
    for name, rate in allowances:
        demand(name, rate, now=now)
    user = authenticate(username=email, password=password)
    if not isinstance(user, User):
        raise NotAuthenticated("The address or the password is wrong.")
    for name, rate in allowances:
        give_back(name, rate)
    return user


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


def refresh(*, token: str, now: datetime) -> Tokens:
    """The next pair. Raises NotAuthenticated; a token that was used before also ends its family."""
    claims = _read(Refresh, token)
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


def log_out(*, token: str, now: datetime) -> None:
    """Ends the login a refresh token belongs to. Raises NotAuthenticated for what is no token of ours; safe to repeat."""
    login = _login(_read(Refresh, token))
    if login is not None:
        _end(login, now)


def end_all(*, user: User) -> None:
    """Ends every login and admin session of a person."""
    User.objects.filter(pk=user.pk).update(token_epoch=F("token_epoch") + 1)
    user.refresh_from_db(fields=["token_epoch"])


def person_of(access: str, now: datetime) -> User:
    """Whom an access token belongs to. Raises NotAuthenticated."""
    login = _login(_read(Access, access))
    if login is None or not _is_good(login, now):
        raise NotAuthenticated("The token is not valid.")
    return login.user


def sweep(now: datetime) -> int:
    """Forgets logins that are over for a day; how many."""
    return Login.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()[0]


def _end(login: Login, now: datetime) -> None:
    Login.objects.filter(id=login.id, ended_at=None).update(ended_at=now)


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


def _read(kind: type[Token], text: str) -> Token:
    try:
        return kind(text)  # type: ignore[arg-type]
    except TokenError:
        raise NotAuthenticated("The token is not valid.") from None


def _login(claims: Token) -> Login | None:
    login_id = _uuid(claims.get("login"))
    return Login.objects.select_related("user__department").filter(id=login_id).first() if login_id else None


def _uuid(text: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None
