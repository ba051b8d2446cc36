"""Live streams, and in development everything, under uvicorn: `uvicorn gamer.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "streams")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from gamer.checks import demand  # noqa: E402
from gamer.web.asgi import BodyLimit  # noqa: E402

application = BodyLimit(_django)

demand()
