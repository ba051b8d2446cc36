"""The API under gunicorn: `gunicorn gamer.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "api")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from gamer.checks import demand  # noqa: E402

demand()
