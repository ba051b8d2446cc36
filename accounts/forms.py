"""Staff's login page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core import signing
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import logins, second_factor
from accounts.models import User
from gamer.errors import GamerError, NotAuthenticated
from gamer.web.throttles import client_ip

PROOF_S = 300
SALT = "accounts.forms.LoginForm"


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Address and password, then the one-time code of who has an authenticator. Counts failures together with the API's.

    Between the two steps the page carries a signed proof that the password was right, not the password.
    """

    proof = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)
    otp = forms.CharField(
        label="One-time code",
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code"}),
        help_text="From your authenticator app. If you lost it: one of your recovery codes.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asks_otp = False
        if self.data.get("proof"):
            for name in ("username", "password"):
                self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if given.get("proof"):
            self.user_cache = self._proven(given["proof"])
        elif given.get("username") and given.get("password"):
            self.user_cache = self._prove(given["username"], given["password"])
        if self.user_cache is not None:
            self.confirm_login_allowed(self.user_cache)
            self._demand_code(self.user_cache, given.get("otp", ""))
            logins.note(user=self.user_cache, now=timezone.now())
        return given

    def _prove(self, email: str, password: str) -> User:
        ip, now = client_ip(self.request), timezone.now()
        try:
            return logins.prove(email=email, password=password, ip=ip, now=now)
        except NotAuthenticated:
            raise self.get_invalid_login_error() from None
        except GamerError as error:
            raise forms.ValidationError(error.message) from None

    def _proven(self, proof: str) -> User:
        try:
            pk, stamp = signing.loads(proof, salt=SALT, max_age=PROOF_S)
        except signing.BadSignature:
            raise forms.ValidationError("That took too long; log in again.") from None
        user = User.objects.filter(pk=pk).first()
        if user is None or not constant_time_compare(stamp, user.get_session_auth_hash()):
            raise forms.ValidationError("Log in again.")
        user.backend = settings.AUTHENTICATION_BACKENDS[-1]  # as `authenticate` notes it
        return user

    def _demand_code(self, user: User, code: str) -> None:
        try:
            second_factor.demand(user=user, code=code, now=timezone.now())
        except GamerError as error:
            self.asks_otp = True
            self.new_proof = signing.dumps([user.pk, user.get_session_auth_hash()], salt=SALT)
            raise forms.ValidationError(error.message) from None
