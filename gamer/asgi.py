"""Live streams, and in development everything, under uvicorn: `uvicorn gamer.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "streams")

from gamer import heap

with heap.loading():
    from django.core.asgi import get_asgi_application

    _django = get_asgi_application()

    import gamer.urls  # noqa: F401
    from gamer.checks import demand
    from gamer.web.asgi import BodyLimit

application = BodyLimit(_django)

demand()
heap.settle()
