from django.apps import AppConfig
from django.contrib import admin


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        # The last app: every page is registered by now, those of libraries too.
        from events.auditing import audit

        audit(admin.site)
