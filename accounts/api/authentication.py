"""Who sends a request: a service by key, a person by token, staff by their admin session.

Each answers `(user, principal)`, so that `request.auth` is the Principal; for a key, `request.user` is its maker.
"""

from __future__ import annotations

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts import keys, logins
from accounts.models import User
from accounts.principal import Principal
from gamer.context import act_as
from gamer.errors import NotAuthenticated

CHALLENGE = "Bearer"


def _known(request: Request, principal: Principal, user: User) -> tuple[User, Principal]:
    # On Django's request, where the throttle finds it; events and logs say it from here on.
    request._request.principal = principal  # type: ignore[attr-defined]
    act_as(principal.label)
    return user, principal


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key: gk_…`."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        secret = request.headers.get("X-API-Key")
        if secret is None:
            return None
        key = keys.key_of(secret[:200], now=timezone.now())
        return _known(request, Principal(user=key.maker, key=key), key.maker)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class JwtAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`. Other schemes are not ours and are passed over."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            text = token.strip().decode("ascii")
        except UnicodeDecodeError:
            raise NotAuthenticated("The token is not valid.") from None
        login = logins.login_of(text, timezone.now())
        return _known(request, Principal(user=login.user, login_id=login.id), login.user)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class AdminSessionAuthentication(SessionAuthentication):
    """The cookie of the admin, for staff only, with Django's CSRF check on writes."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active or not user.is_staff:
            return None
        self.enforce_csrf(request)
        return _known(request, Principal(user=user), user)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
