"""The API under gunicorn: `gunicorn gamer.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "api")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

import gamer.urls  # noqa: E402, F401
from gamer import heap  # noqa: E402
from gamer.checks import demand  # noqa: E402

demand()
heap.settle()
