"""The API under gunicorn: `gunicorn gamer.wsgi`."""

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
os.environ.setdefault("GAMER_PROCESS", "api")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

import gamer.urls  # noqa: E402, F401
from gamer.checks import demand  # noqa: E402

demand()
# All that stays for good is loaded now: a full collection that walks through it takes as long as a page does.
gc.collect()
gc.freeze()
