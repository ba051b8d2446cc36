"""Staff's login page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from unfold.forms import AuthenticationForm

from accounts import logins
from gamer.errors import NotAuthenticated, RateLimited
from gamer.web.throttles import client_ip


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Counts failures together with the API's."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if given.get("username") and given.get("password"):
            try:
                self.user_cache = logins.prove(
                    email=given["username"],
                    password=given["password"],
                    ip=client_ip(self.request),
                    now=timezone.now(),
                )
            except NotAuthenticated:
                raise self.get_invalid_login_error() from None
            except RateLimited as error:
                raise forms.ValidationError(error.message) from None
            self.confirm_login_allowed(self.user_cache)
        return given
