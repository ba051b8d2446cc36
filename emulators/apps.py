from django.apps import AppConfig


class EmulatorsConfig(AppConfig):
    name = "emulators"
    verbose_name = "Consoles and games"
