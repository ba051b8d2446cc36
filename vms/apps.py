from django.apps import AppConfig


class VmsConfig(AppConfig):
    name = "vms"
    verbose_name = "Machines"

    def ready(self) -> None:
        # Registers the checks; models are known only now.
        from vms import checks  # noqa: F401
