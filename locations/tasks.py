"""Doors for the queue: nothing in, nothing out. A lost run is made up by the next one; the rows are the list of work."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from locations import services
from locations.geocoding.nominatim import PUBLIC_URL, NominatimGeocoder

# Ten lookups of ten seconds and the pauses between them stay under the queue's timeout of 150 s.
LOOKUPS_PER_RUN = 10


def geocode_missing() -> None:
    """Works off places that wait for the background geocoder; to be scheduled every minute."""
    agent = f"Gamer/{settings.VERSION} ({settings.PUBLIC_URL or 'private installation'})"
    url = getattr(settings, "NOMINATIM_URL", PUBLIC_URL)
    with NominatimGeocoder(user_agent=agent, url=url) as geocoder:
        for _ in range(LOOKUPS_PER_RUN):
            next_at = services.geocode_missing(now=timezone.now(), geocoder=geocoder)
            if next_at is None:
                return
            time.sleep(max(next_at - timezone.now(), timedelta()).total_seconds())
