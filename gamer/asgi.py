"""Live streams, and in development everything, under uvicorn: `uvicorn gamer.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "streams")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

import gamer.urls  # noqa: E402, F401
from gamer import heap  # noqa: E402
from gamer.checks import demand  # noqa: E402
from gamer.web.asgi import BodyLimit  # noqa: E402

application = BodyLimit(_django)

demand()
heap.settle()
