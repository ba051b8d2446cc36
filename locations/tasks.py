"""Doors for the queue: nothing in, nothing out. A lost run is made up by the next one; the rows are the list of work."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from gamer.queue.enqueue import enqueue
from locations import services
from locations.geocoding.nominatim import PUBLIC_URL, NominatimGeocoder

TASK = "locations.tasks.geocode_missing"


def geocode_missing() -> None:
    """Asks the background geocoder for one place, and comes again when the next may be asked for."""
    now = timezone.now()
    agent = f"Gamer/{settings.VERSION} ({settings.PUBLIC_URL or 'private installation'})"
    with NominatimGeocoder(user_agent=agent, url=getattr(settings, "NOMINATIM_URL", PUBLIC_URL)) as geocoder:
        next_at = services.geocode_missing(now=now, geocoder=geocoder)
    if next_at is not None:
        enqueue(TASK, group="geocoding", delay_s=(next_at - now).total_seconds())
