from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from locations import regions, services, tasks
from locations.catalogue import GCP
from locations.models import FinderAnswer, GeocodedPlace

from .places import locate


@pytest.fixture
def waiting(db, settings, nominatim):
    settings.NOMINATIM_URL = nominatim.url
    asked_at = timezone.now() - timedelta(minutes=1)

    def record(count):
        for number in range(count):
            locate(city=f"Nowhere {number}", country="US", now=asked_at)

    return record


class TestGeocodeMissing:
    def test_asks_for_one_place_and_comes_again_for_the_next(self, waiting, nominatim):
        waiting(2)
        begun = timezone.now()
        tasks.geocode_missing()
        assert [asked["city"] for asked in nominatim.asked] == ["Nowhere 0"]
        assert GeocodedPlace.objects.filter(look_at=None).count() == 1
        (queued,) = OrmQ.objects.all()
        assert queued.func() == tasks.TASK
        assert queued.lock >= begun + timedelta(seconds=1)

    def test_ends_with_the_last_place(self, waiting, nominatim):
        waiting(1)
        tasks.geocode_missing()
        assert len(nominatim.asked) == 1
        assert not OrmQ.objects.exists()

    def test_gives_the_product_s_name(self, waiting, nominatim):
        waiting(1)
        tasks.geocode_missing()
        assert nominatim.agents[0].startswith("Gamer/")


@pytest.mark.django_db
class TestSeed:
    def test_schedules_the_task_once(self):
        services.seed(timezone.now())
        services.seed(timezone.now())
        assert Schedule.objects.get().func == f"{tasks.__name__}.{tasks.geocode_missing.__name__}"

    def test_schedules_the_location_finder_once(self):
        regions.seed(timezone.now())
        regions.seed(timezone.now())
        assert Schedule.objects.get().func == f"{tasks.__name__}.{tasks.refresh_location_finder.__name__}"


@pytest.mark.django_db
class TestRefreshLocationFinder:
    @pytest.fixture
    def wanted(self):
        asked_at = timezone.now() - timedelta(minutes=1)
        moments = {"asked_at": asked_at, "queued_at": asked_at, "look_at": asked_at}
        for source in ("us-south1", "europe-west1"):
            FinderAnswer.objects.create(source=source, kind=GCP, **moments)

    def test_asks_for_all_that_wait(self, wanted, location_finder):
        location_finder.order = {("gcp", source): ["us-east1"] for source in ("us-south1", "europe-west1")}
        tasks.refresh_location_finder()
        assert [source for _, source in location_finder.asked] == ["us-south1", "europe-west1"]
        assert FinderAnswer.objects.filter(codes=["us-east1"]).count() == 2

    def test_stops_at_the_first_failure(self, wanted, location_finder):
        location_finder.status, location_finder.body = 503, {}
        tasks.refresh_location_finder()
        assert len(location_finder.asked) == 1
        assert sorted(FinderAnswer.objects.values_list("tries", flat=True)) == [0, 1]

    def test_asks_nobody_without_a_project(self, wanted, location_finder, settings):
        settings.ENV = replace(settings.ENV, gcp_project_id="")
        tasks.refresh_location_finder()
        assert location_finder.tokens == 0
        assert not FinderAnswer.objects.exclude(answered_at=None).exists()
