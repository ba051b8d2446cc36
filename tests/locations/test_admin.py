from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ

from locations import regions, services
from locations.catalogue import GCP, shipped
from locations.models import FinderAnswer, GeocodedPlace, Region

from .places import locate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def missing(db):
    locate(city="Atlantis Heights", state="Idaho", country="United States", now=NOW)
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


REGIONS = "admin:locations_region_changelist"
VALUES = {
    "kind": "x", "code": "y", "name": "z", "is_listed": "on", "gpu_models": "", "latitude": "", "longitude": "",
    "city": "", "state": "", "country": "", "country_code": "", "continent": "",
}  # fmt: skip


class TestRegionAdmin:
    @pytest.fixture
    def catalogue(self, db):
        regions.seed_regions(regions=shipped())

    def test_lists_regions_with_their_place_and_gpus(self, sam, catalogue):
        page = sam.get(reverse(REGIONS), {"q": "us-central1"}).content.decode()
        assert "Council Bluffs, Iowa, United States" in page
        assert "L4, T4" in page
        assert "41.26, -95.86" in page

    def test_shows_a_map_and_how_many_regions_each_provider_has_where(self, sam, catalogue):
        answer = sam.get(reverse(REGIONS))
        page = answer.content.decode()
        assert page.count("<circle") == len(answer.context["dots"]) == len(list(shipped()))
        assert "AWS us-east-1: US East (N. Virginia)" in page
        assert answer.context["continents"] == [
            *("Africa", "Asia", "Europe", "North America", "Oceania", "South America")
        ]
        google = answer.context["lines"][2]
        assert (google.name, google.total, sum(google.counts)) == ("Google Cloud", 43, 43)

    def test_leaves_hidden_regions_off_the_map(self, sam, catalogue):
        Region.objects.exclude(code="us-east-1").update(is_listed=False)
        assert sam.get(reverse(REGIONS)).content.decode().count("<circle") == 1

    def test_says_what_to_do_about_an_empty_list(self, sam):
        assert "manage.py seed" in sam.get(reverse(REGIONS)).content.decode()

    @pytest.mark.parametrize(
        ("query", "count"),
        [({"kind": GCP}, 43), ({"gpus": "none", "kind": GCP}, 17), ({"gpus": "some", "kind": GCP}, 26)],
    )
    def test_narrows_the_list(self, sam, catalogue, query, count):
        assert sam.get(reverse(REGIONS), query).context["cl"].result_count == count

    def test_takes_as_many_queries_for_many_regions_as_for_few(self, sam):
        def count():
            with CaptureQueriesContext(connection) as seen:
                assert sam.get(reverse(REGIONS)).status_code == 200
            return len(seen)

        count()
        few = count()
        regions.seed_regions(regions=shipped())
        assert count() == few

    def test_says_when_half_a_position_is_given(self, sam):
        answer = sam.post(reverse("admin:locations_region_add"), VALUES | {"latitude": "1"})
        assert "or neither" in answer.content.decode()
        assert not Region.objects.exists()

    def test_adds_a_region_and_places_it(self, sam):
        values = VALUES | {"kind": GCP, "city": "Kuala Lumpur", "country": "Malaysia", "gpu_models": "L4, T4"}
        assert sam.post(reverse("admin:locations_region_add"), values).status_code == 302
        region = Region.objects.get()
        assert (round(region.latitude), region.continent, region.gpu_models) == (3, "Asia", ["L4", "T4"])

    def test_keeps_what_staff_changed_over_the_next_seeding(self, sam, catalogue):
        region = Region.objects.get(code="us-south1")
        values = VALUES | {"kind": GCP, "code": "us-south1", "name": "Big D", "country": "United States"}
        url = reverse("admin:locations_region_change", args=[region.id])
        assert sam.get(url).status_code == 200
        assert sam.post(url, values).status_code == 302
        regions.seed_regions(regions=shipped())
        region.refresh_from_db()
        assert (region.name, region.gpu_models, region.is_listed) == ("Big D", [], True)

    @pytest.mark.parametrize(("action", "is_listed"), [("hide", False), ("show", True)])
    def test_shows_and_hides_regions(self, sam, catalogue, action, is_listed):
        Region.objects.update(is_listed=not is_listed)
        region = Region.objects.get(code="us-south1")
        answer = sam.post(reverse(REGIONS), {"action": action, "_selected_action": [region.id]}, follow=True)
        assert "1 regions are" in answer.content.decode()
        assert Region.objects.get(is_listed=is_listed) == region

    def test_deletes_only_what_the_next_seeding_would_not_bring_back(self, sam, catalogue):
        ours, theirs = (
            Region.objects.get(code="us-south1"),
            Region.objects.create(kind=GCP, code="x", name="X"),
        )
        for region, status in ((ours, 403), (theirs, 302)):
            url = reverse("admin:locations_region_delete", args=[region.id])
            assert sam.post(url, {"post": "yes"}).status_code == status
        assert Region.objects.filter(code__in=["us-south1", "x"]).get() == ours


class TestFinderAnswerAdmin:
    URL = "admin:locations_finderanswer_changelist"

    @pytest.fixture
    def answer(self, db):
        moments = {"asked_at": NOW, "queued_at": NOW, "look_at": NOW, "answered_at": NOW}
        codes = ["us-east-1", "us-east-2", "us-west-2", "us-west-1"]
        return FinderAnswer.objects.create(
            source="us-south1", kind="cloudypad_aws", codes=codes, error="HTTP 500: backend", **moments
        )

    def test_lists_the_latest_answers(self, sam, answer):
        page = sam.get(reverse(self.URL)).content.decode()
        assert "us-east-1, us-east-2, us-west-2 and 1 more" in page
        assert "HTTP 500: backend" in page

    def test_shows_an_answer_whole(self, sam, answer):
        page = sam.get(reverse("admin:locations_finderanswer_change", args=[answer.id])).content.decode()
        assert "us-east-1, us-east-2, us-west-2, us-west-1" in page

    def test_says_why_it_is_empty(self, sam, settings):
        page = sam.get(reverse(self.URL)).content.decode()
        assert "GCP_PROJECT_ID is not set" in page
        assert "Nobody has needed an answer yet." in page
        settings.ENV = replace(settings.ENV, gcp_project_id="gamer")
        assert "GCP_PROJECT_ID" not in sam.get(reverse(self.URL)).content.decode()

    def test_asks_again_for_chosen_answers(self, sam, answer):
        query = {"action": "ask_again", "_selected_action": [answer.id]}
        page = sam.post(reverse(self.URL), query, follow=True)
        assert "1 answers will be fetched again." in page.content.decode()
        assert OrmQ.objects.count() == 1

    def test_changes_none(self, sam, answer):
        assert sam.get(reverse("admin:locations_finderanswer_add")).status_code == 403
        url = reverse("admin:locations_finderanswer_change", args=[answer.id])
        assert sam.post(url, {"source": "x"}).status_code == 403
