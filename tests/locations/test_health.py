from datetime import UTC, datetime, timedelta

import pytest

from locations import health, services
from locations.geocoding.nominatim import NominatimGeocoder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.django_db
class TestGeocoder:
    def test_is_well_and_counts_who_waits(self, nominatim):
        for city in ("Nowhere", "Elsewhere"):
            services.locate(city=city, country="US", now=NOW)
        nominatim.status = 500
        with NominatimGeocoder(user_agent="gamer-tests/1", url=nominatim.url) as geocoder:
            services.geocode_missing(now=NOW, geocoder=geocoder)
        (part,) = health.geocoder(NOW + timedelta(seconds=1))
        assert (part.name, part.problem, part.figures) == ("geocoder", "", {"waiting": 1, "failing": 1})

    def test_is_ill_without_the_gazetteer(self, settings, tmp_path):
        (tmp_path / "file").write_text("")
        settings.GAZETTEER_DIR = tmp_path / "file" / "gazetteer"
        (part,) = health.geocoder(NOW)
        assert "gazetteer cannot be opened" in part.problem
