"""The paths of this app."""

from django.urls import URLPattern

from gamer.web.routing import route
from portal.api.views.people import (
    ActivityView,
    DashboardView,
    PeopleView,
    PersonView,
    ReinstateView,
    SuspendView,
)
from portal.api.views.tenants import MemberView, ProjectStatsView, ProjectView, QuotasView, QuotaView

PROJECT = "projects/<int:project_id>"
USER = "users/<int:id>"

urlpatterns: list[URLPattern] = [
    route("departments/<int:department_id>/members/<user_id>", MemberView.as_view(), "member"),
    route(PROJECT, ProjectView.as_view(), "project"),
    route(f"{PROJECT}/stats", ProjectStatsView.as_view(), "project-stats"),
    route("quotas", QuotasView.as_view(), "quotas"),
    route("quotas/<int:quota_id>", QuotaView.as_view(), "quota"),
    route("users", PeopleView.as_view(), "users"),
    route("users/me/dashboard", DashboardView.as_view(), "my-dashboard"),
    route("users/me/activity", ActivityView.as_view(), "my-activity"),
    route(USER, PersonView.as_view(), "user"),
    route(f"{USER}/suspend", SuspendView.as_view(), "suspend-user"),
    route(f"{USER}/reinstate", ReinstateView.as_view(), "reinstate-user"),
]
