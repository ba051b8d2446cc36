from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and access"

    def ready(self) -> None:
        from accounts import logins
        from accounts.api import schema  # noqa: F401  registers the ways to sign in

        user_logged_out.connect(logins.note_logout, dispatch_uid="accounts.logins.note_logout")
