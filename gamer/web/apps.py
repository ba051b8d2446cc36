from django.apps import AppConfig
from django.db.backends.signals import connection_created


class WebConfig(AppConfig):
    name = "gamer.web"
    label = "gamer_web"
    verbose_name = "Web"

    def ready(self) -> None:
        from gamer import checks, moments  # noqa: F401  registers them

        connection_created.connect(moments.install, dispatch_uid="gamer.moments")
