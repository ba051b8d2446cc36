"""Django's own apps, as we install them."""

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig

# They answer nobody, and start as quickly as they can after a death.
WITHOUT_PAGES = ("reconciler", "worker")


class PagesConfig(SimpleAdminConfig):
    """The admin, whose pages are a third of what there is to import: processes without pages leave them to `gamer.urls`."""

    def ready(self) -> None:
        super().ready()
        if settings.ENV.process not in WITHOUT_PAGES:
            admin.autodiscover()
