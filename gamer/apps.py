"""Django's own apps, as we install them."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class PagesConfig(SimpleAdminConfig):
    """The admin, whose pages are a third of what there is to import: they come with `gamer.urls`, where somebody asks for an address."""

    default_site = "unfold.sites.UnfoldAdminSite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(pages, checks.Tags.admin)


def pages(**asked: Any) -> list[checks.CheckMessage]:
    """Django's check of the admin, which sees what is registered: here everything."""
    import_module(settings.ROOT_URLCONF)
    found: list[checks.CheckMessage] = check_admin_app(**asked)
    return found
