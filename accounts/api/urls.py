"""The paths of this app."""

from django.urls import URLPattern

from accounts.api import schema  # noqa: F401  registers the ways to sign in
from accounts.api.views.auth import (
    LoginView,
    LogoutAllView,
    LogoutView,
    PasswordResetConfirmView,
    PasswordResetView,
    PasswordView,
    ProfileView,
    RefreshView,
    SignupView,
)
from accounts.api.views.departments import (
    AcceptView,
    DepartmentsView,
    DepartmentView,
    InvitationsView,
    InvitationView,
    MembersView,
)
from accounts.api.views.keys import ApiKeysView, ApiKeyView, RotateApiKeyView
from accounts.api.views.projects import ProjectsView
from gamer.web.routing import route

DEPARTMENT = "departments/<int:department_id>"

urlpatterns: list[URLPattern] = [
    route("auth/signup", SignupView.as_view(), "signup"),
    route("auth/login", LoginView.as_view(), "login"),
    route("auth/refresh", RefreshView.as_view(), "refresh"),
    route("auth/logout", LogoutView.as_view(), "logout"),
    route("auth/logout-all", LogoutAllView.as_view(), "logout-all"),
    route("auth/profile", ProfileView.as_view(), "profile"),
    route("auth/password", PasswordView.as_view(), "password"),
    route("auth/password/reset", PasswordResetView.as_view(), "password-reset"),
    route("auth/password/reset/confirm", PasswordResetConfirmView.as_view(), "password-reset-token"),
    route("api-keys", ApiKeysView.as_view(), "api-keys"),
    route("api-keys/<int:key_id>", ApiKeyView.as_view(), "api-key"),
    route("api-keys/<int:key_id>/rotate", RotateApiKeyView.as_view(), "api-key-rotate"),
    route("departments", DepartmentsView.as_view(), "departments"),
    route(DEPARTMENT, DepartmentView.as_view(), "department"),
    route(f"{DEPARTMENT}/members", MembersView.as_view(), "members"),
    route(f"{DEPARTMENT}/invitations", InvitationsView.as_view(), "invitations"),
    route("invitations/<uuid:invitation_id>", InvitationView.as_view(), "invitation"),
    route("invitations/accept", AcceptView.as_view(), "accept-invitation"),
    route("projects", ProjectsView.as_view(), "projects"),
]
