"""The API under gunicorn: `gunicorn gamer.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "api")

from gamer import heap

with heap.loading():
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()

    import gamer.urls  # noqa: F401
    from gamer.checks import demand

demand()
heap.settle()
