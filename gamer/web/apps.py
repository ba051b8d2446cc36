from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "gamer.web"
    label = "gamer_web"
    verbose_name = "Web"

    def ready(self) -> None:
        from gamer import checks  # noqa: F401  registers them
