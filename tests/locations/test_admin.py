from datetime import UTC, datetime

import pytest
from django.urls import reverse

from locations import services
from locations.models import GeocodedPlace, Region

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def sam(client, world):
    client.force_login(world.sam)
    return client


@pytest.fixture
def missing(db):
    services.locate(city="Atlantis Heights", state="Idaho", country="United States", now=NOW)
    return GeocodedPlace.objects.get()


class TestGeocodedPlaceAdmin:
    def test_lists_and_finds_places(self, sam, missing):
        page = sam.get(reverse("admin:locations_geocodedplace_changelist"), {"q": "atlantis"})
        assert "Atlantis Heights, Idaho, United States" in page.content.decode()

    def test_settles_a_place_by_hand(self, sam, missing):
        url = reverse("admin:locations_geocodedplace_change", args=[missing.id])
        assert sam.get(url).status_code == 200
        answer = sam.post(url, {"latitude": "43.1", "longitude": "-112.2", "city": "Elsewhere"})
        assert answer.status_code == 302
        missing.refresh_from_db()
        assert (missing.latitude, missing.longitude, missing.look_at) == (43.1, -112.2, None)
        assert missing.city == "Atlantis Heights"

    @pytest.mark.parametrize(
        ("latitude", "longitude"),
        [("91", "0"), ("", "0"), ("0", ""), ("0", "-181"), ("nan", "0"), ("north", "0")],
    )
    def test_says_what_is_wrong_with_a_position(self, sam, missing, latitude, longitude):
        url = reverse("admin:locations_geocodedplace_change", args=[missing.id])
        answer = sam.post(url, {"latitude": latitude, "longitude": longitude})
        assert answer.status_code == 200
        assert answer.context["adminform"].form.errors
        missing.refresh_from_db()
        assert missing.position is None

    def test_asks_again_for_chosen_places(self, sam, missing):
        services.place_by_hand(place_id=missing.id, latitude=1.0, longitude=2.0, now=NOW)
        url = reverse("admin:locations_geocodedplace_changelist")
        answer = sam.post(url, {"action": "ask_again", "_selected_action": [missing.id]}, follow=True)
        assert "1 places will be asked for again." in answer.content.decode()
        missing.refresh_from_db()
        assert missing.position is None

    def test_adds_none(self, sam):
        assert sam.get(reverse("admin:locations_geocodedplace_add")).status_code == 403


class TestRegionAdmin:
    def test_lists_regions(self, sam):
        services.seed_regions(
            regions=[services.RegionSeed(kind="cloudypad_gcp", code="us-south1", name="Dallas", country="US")]
        )
        page = sam.get(reverse("admin:locations_region_changelist"), {"q": "us-south1"})
        assert "us-south1" in page.content.decode()

    def test_says_when_half_a_position_is_given(self, sam):
        values = {"kind": "x", "code": "y", "name": "z", "latitude": "1", "longitude": ""}
        answer = sam.post(reverse("admin:locations_region_add"), values)
        assert "or neither" in answer.content.decode()
        assert not Region.objects.exists()
