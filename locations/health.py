"""The geocoder's and the Location Finder's parts of `/health?full=1`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from subprocess import CalledProcessError

from django.db.models import Count, Max, Q

from gamer.web.health import Part
from locations import regions, services
from locations.models import FinderAnswer, GeocodedPlace


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


def location_finder(now: datetime) -> Iterable[Part]:
    """Never ill: without it regions are ranked by distance. Nothing to tell while there is no project to ask for."""
    if not regions.is_finder_on():
        return
    figures = FinderAnswer.objects.aggregate(
        answers=Count("answered_at"),
        waiting=Count("id", Q(look_at__lte=now)),
        failing=Count("id", Q(tries__gt=0)),
        last_answered_at=Max("answered_at"),
    )
    yield Part("location finder", figures=figures)
