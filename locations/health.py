"""The geocoder's part of `/health?full=1`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from subprocess import CalledProcessError

from django.db.models import Count, Q

from gamer.web.health import Part
from locations import services
from locations.models import GeocodedPlace


def geocoder(now: datetime) -> Iterable[Part]:
    """Not well without the gazetteer. Places that wait for the background geocoder are a figure: it is a luxury."""
    figures = GeocodedPlace.objects.aggregate(
        waiting=Count("id", Q(look_at__lte=now)), failing=Count("id", Q(tries__gt=0))
    )
    problem = ""
    try:
        services.prepare_gazetteer()
    except (OSError, CalledProcessError) as error:
        problem = f"the gazetteer cannot be opened ({error})"
    yield Part("geocoder", problem, figures)
