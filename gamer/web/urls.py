"""The paths of this app."""

from django.urls import URLPattern
from django.views.generic import RedirectView

from gamer.web.routing import route
from gamer.web.views import DocsView, FaviconView, HealthView, IdentityView, MetricsView, SchemaView

urlpatterns: list[URLPattern] = [
    route("", IdentityView.as_view(), "identity"),
    route("health", HealthView.as_view(), "health"),
    route("metrics", MetricsView.as_view(), "metrics"),
    route("schema", SchemaView.as_view(), "schema"),
    route("docs", DocsView.as_view(), "docs"),
    # Browsers ask for it where no page names one: beside answers of the API.
    route("favicon.ico", FaviconView.as_view(), "favicon"),
    route("admin", RedirectView.as_view(pattern_name="admin:index"), "admin"),
]
