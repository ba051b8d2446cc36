"""The paths of this app."""

from django.urls import URLPattern

from accounts.api.views import LoginView, LogoutView, RefreshView
from gamer.web.routing import route

urlpatterns: list[URLPattern] = [
    route("auth/login", LoginView.as_view(), "login"),
    route("auth/refresh", RefreshView.as_view(), "refresh"),
    route("auth/logout", LogoutView.as_view(), "logout"),
]
