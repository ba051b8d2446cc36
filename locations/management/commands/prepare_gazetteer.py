from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from locations import services


class Command(BaseCommand):
    help = "Compiles the index of places, unless it is there: ten seconds at deployment instead of in a first request."

    def handle(self, *args: Any, **options: Any) -> None:
        services.prepare_gazetteer()
        self.stdout.write(f"The gazetteer is ready in {settings.GAZETTEER_DIR}.")
