from django.apps import AppConfig


class EmulatorsConfig(AppConfig):
    name = "emulators"
    verbose_name = "Consoles and games"

    def ready(self) -> None:
        # Registers the checks; models are known only now.
        from emulators import checks  # noqa: F401
