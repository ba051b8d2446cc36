from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from locations import services, tasks
from locations.models import GeocodedPlace


@pytest.fixture
def waiting(db, settings, nominatim):
    settings.NOMINATIM_URL = nominatim.url
    asked_at = timezone.now() - timedelta(minutes=1)

    def record(count):
        for number in range(count):
            services.locate(city=f"Nowhere {number}", country="US", now=asked_at)

    return record


class TestGeocodeMissing:
    def test_asks_for_one_place_and_comes_again_for_the_next(self, waiting, nominatim):
        waiting(2)
        tasks.geocode_missing()
        assert [asked["city"] for asked in nominatim.asked] == ["Nowhere 0"]
        assert GeocodedPlace.objects.filter(look_at=None).count() == 1
        (queued,) = OrmQ.objects.all()
        assert queued.func() == tasks.TASK
        assert queued.lock > timezone.now()

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
