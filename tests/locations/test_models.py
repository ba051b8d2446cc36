from datetime import UTC, datetime

import pytest
from django.db import IntegrityError

from locations.models import GeocodedPlace, GeocoderTurn, Region

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OFF_THE_MAP = [(1.0, None), (None, 1.0), (90.1, 0.0), (0.0, -180.1), (float("nan"), 0.0), (0.0, float("inf"))]


@pytest.mark.django_db
class TestRegion:
    @pytest.mark.parametrize(("latitude", "longitude"), OFF_THE_MAP)
    def test_is_on_the_map_or_off_it(self, latitude, longitude):
        with pytest.raises(IntegrityError, match="region_position"):
            Region.objects.create(kind="a", code="b", latitude=latitude, longitude=longitude)

    def test_has_its_code_once_per_provider(self):
        Region.objects.create(kind="a", code="us-east1")
        Region.objects.create(kind="b", code="us-east1")
        with pytest.raises(IntegrityError, match="region_kind_code"):
            Region.objects.create(kind="a", code="us-east1")


@pytest.mark.django_db
class TestGeocodedPlace:
    @pytest.mark.parametrize(("latitude", "longitude"), OFF_THE_MAP)
    def test_is_on_the_map_or_off_it(self, latitude, longitude):
        with pytest.raises(IntegrityError, match="geocoded_place"):
            GeocodedPlace.objects.create(
                key="a", latitude=latitude, longitude=longitude, matched="city", asked_at=NOW
            )

    def test_never_falls_asleep_without_a_position(self):
        with pytest.raises(IntegrityError, match="geocoded_place_settled_or_due"):
            GeocodedPlace.objects.create(key="a", asked_at=NOW)

    def test_is_not_looked_for_once_it_has_a_position(self):
        with pytest.raises(IntegrityError, match="geocoded_place_settled_or_due"):
            GeocodedPlace.objects.create(
                key="a", latitude=1, longitude=2, matched="city", asked_at=NOW, look_at=NOW
            )


@pytest.mark.django_db
class TestGeocoderTurn:
    def test_has_one_row(self):
        with pytest.raises(IntegrityError, match="geocoder_turn_only_one"):
            GeocoderTurn.objects.create(id=2, next_at=NOW)

    def test_is_never_moved_back(self):
        assert GeocoderTurn.take(NOW)
        GeocoderTurn.postpone(NOW)
        assert not GeocoderTurn.take(NOW)
