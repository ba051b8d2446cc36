"""The pages about passwords: Django's views over our services, so that they count and record like every other door."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import (
    INTERNAL_RESET_SESSION_TOKEN,
    PasswordChangeView,
    PasswordResetConfirmView,
)
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.generic import FormView, TemplateView
from django.views.generic.base import ContextMixin
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordWidget

from accounts import logins, passwords
from gamer.errors import GamerError
from gamer.web.throttles import client_ip


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    """Counts wrong passwords together with the logins'."""

    def __init__(self, *args: Any, ip: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ip = ip

    def clean_old_password(self) -> str:
        given = str(self.cleaned_data["old_password"])
        try:
            logins.prove_again(
                user=self.user, password=given, field="old_password", ip=self.ip, now=timezone.now()
            )
        except GamerError as error:
            raise forms.ValidationError(error.details.get("old_password", [error.message])) from None
        return given

    def save(self, commit: bool = True) -> Any:
        passwords.replace(user=self.user, new=self.cleaned_data["new_password1"], now=timezone.now())
        return self.user


class OwnPasswordView(PasswordChangeView):
    """Staff's own password."""

    form_class = OwnPasswordForm
    template_name = "registration/password_change_form.html"
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "ip": client_ip(self.request)}

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        return super().get_context_data(**admin.site.each_context(self.request), **options)


class FrontPage(ContextMixin):
    """A page before the login, in the admin's clothes."""

    request: HttpRequest

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        worn = {**admin.site.each_context(self.request), "site_url": None}
        return {**worn, **super().get_context_data(**options)}


class AskedView(FrontPage, TemplateView):
    template_name = "accounts/reset_asked.html"
    extra_context = {"title": "A mail is on its way"}


class DoneView(FrontPage, TemplateView):
    template_name = "accounts/reset_done.html"
    extra_context = {"title": "The password is set"}


class ForgottenForm(forms.Form):
    email = forms.EmailField(
        label="Your address",
        max_length=254,
        widget=UnfoldAdminEmailInputWidget(attrs={"autocomplete": "email", "autofocus": True}),
    )


class ForgottenView(FrontPage, FormView):  # type: ignore[type-arg]  # Django's is not generic when it runs
    """Asks for an address; the page that follows is the same for every one."""

    form_class = ForgottenForm
    template_name = "accounts/reset_ask.html"
    success_url = reverse_lazy("password-reset-asked")
    extra_context = {"title": "Forgotten password"}

    def form_valid(self, form: ForgottenForm) -> HttpResponse:
        email = form.cleaned_data["email"]
        try:
            passwords.ask_reset(email=email, ip=client_ip(self.request), now=timezone.now())
        except GamerError as error:
            form.add_error(None, error.message)
            return self.form_invalid(form)
        return super().form_valid(form)


class NewPasswordForm(SetPasswordForm):  # type: ignore[type-arg]
    def __init__(self, user: Any, *args: Any, **options: Any) -> None:
        super().__init__(user, *args, **options)
        for name in ("new_password1", "new_password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


class NewPasswordView(FrontPage, PasswordResetConfirmView):
    """Where a mail's link leads. Django takes the token out of the address at once."""

    form_class = NewPasswordForm
    template_name = "accounts/reset_new.html"
    success_url = reverse_lazy("password-reset-done")
    token_generator = passwords.tokens

    def form_valid(self, form: Any) -> HttpResponse:
        token = f"{self.kwargs['uidb64']}.{self.request.session.pop(INTERNAL_RESET_SESSION_TOKEN)}"
        try:
            passwords.reset(token=token, new=form.cleaned_data["new_password1"], now=timezone.now())
        except GamerError as error:
            form.add_error(None, error.details.get("token", [error.message]))
            return self.form_invalid(form)
        return HttpResponseRedirect(str(self.success_url))
