from datetime import UTC, datetime, timedelta

import pytest

from gamer.web.doctor import Verdict
from locations import doctor, health, regions, services
from locations.catalogue import CLOUDS
from locations.finder import LocationFinder
from locations.geocoding.nominatim import NominatimGeocoder
from locations.models import FinderAnswer

from .finder_stand_in import PROJECT
from .places import locate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.django_db
class TestGeocoder:
    def test_is_well_and_counts_who_waits(self, nominatim):
        for city in ("Nowhere", "Elsewhere"):
            locate(city=city, country="US", now=NOW)
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
        (found,) = doctor.gazetteer(NOW)
        assert found.verdict is Verdict.BROKEN
        assert str(settings.GAZETTEER_DIR) in found.advice


@pytest.mark.django_db
class TestLocationFinder:
    def test_counts_answers_and_who_waits(self, location_finder):
        location_finder.order["aws", "us-south1"] = ["us-east-1"]
        for number, cloud in enumerate(("aws", "azure", "gcp")):
            FinderAnswer.objects.create(
                source="us-south1",
                kind=CLOUDS[cloud],
                asked_at=NOW,
                queued_at=NOW,
                look_at=NOW + timedelta(seconds=number),
            )
        later = NOW + timedelta(minutes=1)
        with LocationFinder(project=PROJECT, url=location_finder.url) as finder:
            assert regions.refresh_one(now=later, finder=finder)
            assert not regions.refresh_one(now=later, finder=finder)
        (part,) = health.location_finder(later)
        assert (part.name, part.problem) == ("location finder", "")
        assert part.figures == {"answers": 1, "waiting": 1, "failing": 1, "last_answered_at": later}

    def test_is_no_part_without_a_project(self):
        assert list(health.location_finder(NOW)) == []
