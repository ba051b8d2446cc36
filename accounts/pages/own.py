"""Staff's own account: who they are, and the second factor of their login."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp.qr import write_qrcode_image
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts import logins, second_factor
from accounts.models import User
from accounts.models.credentials import Authenticator
from accounts.principal import Principal
from gamer.errors import GamerError, ValidationError
from gamer.web.throttles import client_ip

TEMPLATE = "accounts/own.html"


class PasswordForm(forms.Form):
    """Asked before anything changes: an open screen is not enough."""

    password = forms.CharField(
        label="Your password",
        max_length=256,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )


class CodeForm(forms.Form):
    code = forms.CharField(
        label="The code it shows",
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


@never_cache
@sensitive_post_parameters("password", "code")
def own_account(request: HttpRequest) -> HttpResponse:
    """GET shows; POST with `act` = begin, confirm, renew or remove does it, for the person themself."""
    assert isinstance(request.user, User)
    act = ACTS.get(request.POST.get("act", "")) if request.method == "POST" else None
    if act is None:
        return _page(request, request.user)
    try:
        return act(request, request.user)
    except GamerError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(reverse("admin:accounts_own"))


def _begin(request: HttpRequest, user: User) -> HttpResponse:
    form = _proven(request, user)
    if form.errors:
        return _page(request, user, password_form=form)
    second_factor.begin(user=user)
    return HttpResponseRedirect(reverse("admin:accounts_own"))


def _confirm(request: HttpRequest, user: User) -> HttpResponse:
    form = CodeForm(request.POST)
    if not form.is_valid():
        return _page(request, user, code_form=form)
    try:
        codes = second_factor.confirm(user=user, code=form.cleaned_data["code"], now=timezone.now())
    except ValidationError as error:
        form.add_error("code", error.details["code"])
        return _page(request, user, code_form=form)
    update_session_auth_hash(request, user)  # every other login has ended
    return _page(request, user, codes=codes)


def _renew(request: HttpRequest, user: User) -> HttpResponse:
    form = _proven(request, user)
    if form.errors:
        return _page(request, user, password_form=form)
    return _page(request, user, codes=second_factor.renew_codes(user=user, now=timezone.now()))


def _remove(request: HttpRequest, user: User) -> HttpResponse:
    form = _proven(request, user)
    if form.errors:
        return _page(request, user, password_form=form)
    second_factor.remove(by=Principal(user=user), user=user, now=timezone.now())
    messages.success(request, "Your login asks for no code any more.")
    return HttpResponseRedirect(reverse("admin:accounts_own"))


ACTS: dict[str, Callable[[HttpRequest, User], HttpResponse]] = {
    "begin": _begin, "confirm": _confirm, "renew": _renew, "remove": _remove,
}  # fmt: skip


def _proven(request: HttpRequest, user: User) -> PasswordForm:
    """The password's form, with an error when it is not right."""
    form = PasswordForm(request.POST)
    if form.is_valid():
        ip, now = client_ip(request), timezone.now()
        try:
            logins.prove_again(
                user=user, password=form.cleaned_data["password"], field="password", ip=ip, now=now
            )
        except GamerError as error:
            form.add_error("password", error.details.get("password", [error.message]))
    return form


def _page(request: HttpRequest, user: User, **shown: Any) -> HttpResponse:
    pending = second_factor.pending(user)
    about = {
        "title": "Your account",
        "is_on": second_factor.is_on(user),
        "codes_left": second_factor.codes_left(user),
        "pending": pending,
        "qr": qr_of(pending) if pending is not None else "",
        "password_form": PasswordForm(),
        "code_form": CodeForm(),
    }
    return TemplateResponse(request, TEMPLATE, {**admin.site.each_context(request), **about, **shown})


def qr_of(device: Authenticator) -> str:
    """The device's address as a drawing, for an image's `src`: no other address ever answers with it."""
    drawn = BytesIO()
    write_qrcode_image(device.url, drawn)
    return f"data:image/svg+xml;base64,{b64encode(drawn.getvalue()).decode()}"
