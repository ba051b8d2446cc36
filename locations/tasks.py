"""Doors for the queue: nothing in, nothing out. A lost run is made up by the next one; the rows are the list of work."""

from __future__ import annotations

import time

from django.conf import settings
from django.utils import timezone

from gamer.queue.enqueue import enqueue
from locations import regions, services
from locations.finder import PUBLIC_URL as FINDER_URL
from locations.finder import LocationFinder
from locations.geocoding.nominatim import PUBLIC_URL, NominatimGeocoder

TASK = "locations.tasks.geocode_missing"
# The Location Finder is asked one question after the other for so long; the next run goes on.
START_WITHIN_S = 20


def geocode_missing() -> None:
    """Asks the background geocoder for one place, and comes again when the next may be asked for."""
    now = timezone.now()
    agent = f"Gamer/{settings.VERSION} ({settings.PUBLIC_URL or 'private installation'})"
    with NominatimGeocoder(user_agent=agent, url=getattr(settings, "NOMINATIM_URL", PUBLIC_URL)) as geocoder:
        next_at = services.geocode_missing(now=now, geocoder=geocoder)
    if next_at is not None:
        enqueue(TASK, group="geocoding", delay_s=(next_at - now).total_seconds())


def refresh_location_finder() -> None:
    """Asks the Location Finder for every answer that is due, until it fails once or the time is up."""
    if not regions.is_finder_on():
        return
    until = time.monotonic() + START_WITHIN_S
    url = getattr(settings, "LOCATION_FINDER_URL", FINDER_URL)
    with LocationFinder(project=settings.ENV.gcp_project_id, url=url) as finder:
        while time.monotonic() < until and regions.refresh_one(now=timezone.now(), finder=finder):
            pass
