"""The paths of this app."""

from django.urls import URLPattern

from emulators.api.views import EmulatorProvidersView, EmulatorsView, EmulatorView, GamesView, PresetsView
from gamer.web.routing import route

urlpatterns: list[URLPattern] = [
    route("config/emulators", EmulatorsView.as_view(), "emulators"),
    route("config/emulators/<console_type>", EmulatorView.as_view(), "emulator"),
    route("config/emulators/<console_type>/providers", EmulatorProvidersView.as_view(), "emulator-providers"),
    route("config/presets", PresetsView.as_view(), "presets"),
    route("games", GamesView.as_view(), "games"),
]
