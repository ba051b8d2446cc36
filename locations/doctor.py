"""What of this app `manage.py doctor` looks at, by settings.DOCTOR_CHECKS: the gazetteer's index."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from subprocess import CalledProcessError

from django.conf import settings

from gamer.web.doctor import Finding, Verdict
from locations import services

# As large as they come, and in no doubt.
KNOWN_CITY = "Tokyo"


def gazetteer(now: datetime) -> Iterable[Finding]:
    """The index is there (or can be made), and finds a city that everybody knows."""
    name = "geocoder index"
    advice = f"See that {settings.GAZETTEER_DIR} can be written and has room, then: manage.py seed"
    try:
        services.prepare_gazetteer()
    except (OSError, CalledProcessError) as error:
        yield Finding(name, Verdict.BROKEN, f"cannot be opened ({type(error).__name__})", advice)
        return
    if services.search_places(q=KNOWN_CITY, limit=1):
        yield Finding(name, Verdict.FINE, "knows the world's places")
    else:
        yield Finding(name, Verdict.BROKEN, f"does not know {KNOWN_CITY}", advice)
