"""The paths of this app."""

from django.urls import URLPattern

from accounts.api.views.auth import LoginView, LogoutView, RefreshView
from accounts.api.views.departments import (
    AcceptView,
    DepartmentsView,
    DepartmentView,
    InvitationsView,
    InvitationView,
    MembersView,
)
from accounts.api.views.projects import ProjectsView
from gamer.web.routing import route

DEPARTMENT = "departments/<int:department_id>"

urlpatterns: list[URLPattern] = [
    route("auth/login", LoginView.as_view(), "login"),
    route("auth/refresh", RefreshView.as_view(), "refresh"),
    route("auth/logout", LogoutView.as_view(), "logout"),
    route("departments", DepartmentsView.as_view(), "departments"),
    route(DEPARTMENT, DepartmentView.as_view(), "department"),
    route(f"{DEPARTMENT}/members", MembersView.as_view(), "members"),
    route(f"{DEPARTMENT}/invitations", InvitationsView.as_view(), "invitations"),
    route(f"{DEPARTMENT}/invitations/<uuid:invitation_id>", InvitationView.as_view(), "invitation"),
    route("invitations/accept", AcceptView.as_view(), "accept-invitation"),
    route("projects", ProjectsView.as_view(), "projects"),
]
