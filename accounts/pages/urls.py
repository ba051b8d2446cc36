"""The paths of these pages. The admin's own page for changing a password is replaced: it would not count failures."""

from django.contrib import admin
from django.urls import URLPattern, path, re_path

from accounts.pages.passwords import AskedView, DoneView, ForgottenView, NewPasswordView, OwnPasswordView

urlpatterns: list[URLPattern] = [
    path("admin/password_change/", admin.site.admin_view(OwnPasswordView.as_view()), name="own-password"),
    path(
        "password/forgotten", ForgottenView.as_view(), name="admin_password_reset"
    ),  # the name unfold looks for
    path("password/asked", AskedView.as_view(), name="password-reset-asked"),
    path("password/done", DoneView.as_view(), name="password-reset-done"),
    # One text, so that a mail's link and the API's `token` are the same.
    re_path(
        r"^password/new/(?P<uidb64>[^/.]{1,40})\.(?P<token>[^/]{1,160})\Z",
        NewPasswordView.as_view(),
        name="password-reset-confirm",
    ),
]
