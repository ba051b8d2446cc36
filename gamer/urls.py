"""Every path of the product. Apps are named by string only; each path answers with and without a trailing slash."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.utils.module_loading import import_string

admin.autodiscover()
import_string(settings.AUDIT)(admin.site)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.pages.urls")),  # before the admin's: one of its pages is replaced
    path("admin/", admin.site.urls),
    path("", include("gamer.web.urls")),
    path("", include("accounts.api.urls")),
    path("", include("locations.api.urls")),
    path("", include("emulators.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("vms.api.urls")),
    path("", include("portal.api.urls")),
]

handler400 = "gamer.web.errors.bad_request"
handler403 = "gamer.web.errors.permission_denied"
handler404 = "gamer.web.errors.page_not_found"
handler500 = "gamer.web.errors.server_error"
