"""Where clouds have regions and which is closest: `/launch/{cloud}/regions`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from locations import regions
from locations.catalogue import CLOUDS, shipped
from locations.models import FinderAnswer, Region
from tests.bad_inputs import sweep_query
from tests.vms.api.asking import DALLAS, details, post

pytestmark = pytest.mark.usefixtures("catalogue")
CLOSEST, ALL = "/launch/gcp/regions/closest", "/launch/gcp/regions/all"
EVERY = (CLOSEST, ALL)


@pytest.fixture
def catalogue(db: None) -> None:
    regions.seed_regions(regions=shipped())


@pytest.fixture
def answered(settings: Any) -> Iterator[FinderAnswer]:
    """What the Location Finder said of AWS, seen from Dallas."""
    settings.ENV = replace(settings.ENV, gcp_project_id="gamer-tests")
    moments = dict.fromkeys(("asked_at", "queued_at", "look_at", "answered_at"), timezone.now())
    return FinderAnswer.objects.create(
        source="us-south1", kind="cloudypad_aws", codes=["us-east-1", "us-east-2"], **moments
    )


def queries(client: Any, path: str, query: Any) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(path, query).status_code == 200
    return len(seen)


class TestWho:
    @pytest.mark.parametrize("path", EVERY)
    def test_reads_must_say_who_they_are(self, anyone, as_reader, path):
        assert anyone.get(path, DALLAS).status_code == 401
        assert as_reader.get(path, DALLAS).status_code == 200

    @pytest.mark.parametrize("path", EVERY)
    def test_only_reads(self, as_alice, path):
        assert post(as_alice, path).status_code == 405


class TestClosest:
    @pytest.mark.parametrize("path", [CLOSEST, CLOSEST + "/"])
    def test_tells_the_closest_and_the_next_best(self, as_alice, path):
        body = as_alice.get(path, DALLAS).json()
        assert body["user_location"] == {"latitude": 32.7767, "longitude": -96.797}
        assert body["method"] == "distance_calculation"
        assert body["closest_region"] == {
            "region_code": "us-south1",
            "region_name": "Dallas, Texas, United States",
            "distance_km": 1.1,
            "source": "distance_calculation",
        }
        assert [one["region_code"] for one in body["alternatives"]] == [
            *("us-central1", "northamerica-south1", "us-east5", "us-east1")
        ]

    @pytest.mark.parametrize("cloud", CLOUDS)
    def test_knows_every_cloud(self, as_alice, cloud):
        body = as_alice.get(f"/launch/{cloud}/regions/closest", {**DALLAS, "limit": 2}).json()
        assert body["closest_region"]["distance_km"] < body["alternatives"][0]["distance_km"]
        assert len(body["alternatives"]) == 1

    @pytest.mark.parametrize("cloud", ["oracle", "GCP", "cloudypad_gcp", "tensordock", "%20", "ﬁ"])
    def test_does_not_find_another(self, as_alice, cloud):
        assert "cloud" in details(as_alice.get(f"/launch/{cloud}/regions/closest", DALLAS), 404)
        assert "cloud" in details(as_alice.get(f"/launch/{cloud}/regions/all"), 404)

    def test_goes_by_latency_once_the_location_finder_has_answered(self, as_alice, answered):
        body = as_alice.get("/launch/aws/regions/closest", {**DALLAS, "limit": 3}).json()
        assert body["method"] == "google_cloud_location_finder_api"
        assert body["closest_region"]["region_code"] == "us-east-1"
        assert [one["source"] for one in body["alternatives"]] == [
            *("google_cloud_location_finder_api", "distance_calculation")
        ]

    @pytest.mark.parametrize("word", ["false", "0", "False"])
    def test_goes_by_distance_when_told_to(self, as_alice, answered, word):
        query = {**DALLAS, "use_location_finder": word}
        body = as_alice.get("/launch/aws/regions/closest", query).json()
        assert (body["method"], body["closest_region"]["region_code"]) == (
            *("distance_calculation", "us-east-2"),
        )

    def test_has_an_old_answer_fetched_and_goes_by_distance(self, as_alice, answered):
        old = timezone.now() - regions.USABLE_FOR - timedelta(minutes=1)
        FinderAnswer.objects.update(answered_at=old, queued_at=old)
        body = as_alice.get("/launch/aws/regions/closest", DALLAS).json()
        assert body["method"] == "distance_calculation"
        assert OrmQ.objects.get().func() == regions.TASK

    def test_tells_of_no_region_when_there_is_none(self, as_alice):
        Region.objects.all().delete()
        body = as_alice.get(CLOSEST, DALLAS).json()
        assert (body["closest_region"], body["alternatives"]) == (None, [])

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({}, "user_latitude"),
            ({"user_latitude": 1}, "user_longitude"),
            ({"user_longitude": 1}, "user_latitude"),
            ({"user_latitude": 90.1, "user_longitude": 1}, "user_latitude"),
            ({"user_latitude": 1, "user_longitude": -181}, "user_longitude"),
            ({"user_latitude": "NaN", "user_longitude": 1}, "user_latitude"),
            ({"user_latitude": 1, "user_longitude": "inf"}, "user_longitude"),
            ({"user_latitude": "north", "user_longitude": 1}, "user_latitude"),
            ({**DALLAS, "limit": 0}, "limit"),
            ({**DALLAS, "limit": 101}, "limit"),
            ({**DALLAS, "limit": "1.5"}, "limit"),
            ({**DALLAS, "use_location_finder": "perhaps"}, "use_location_finder"),
            ({**DALLAS, "latitude": 1}, "latitude"),
        ],
    )
    def test_refuses_and_names_the_parameter(self, as_alice, query, field):
        assert field in details(as_alice.get(CLOSEST, query))

    def test_answers_every_odd_query(self, as_alice):
        right = {
            "user_latitude": "32.8",
            "user_longitude": "-96.8",
            "limit": "3",
            "use_location_finder": "true",
        }
        assert sweep_query(as_alice, CLOSEST, right) > 100

    def test_takes_three_queries_however_many_regions_there_are(self, as_alice, answered):
        """Who is asking, the regions, the Location Finder's answer."""
        path = "/launch/aws/regions/closest"
        assert queries(as_alice, path, DALLAS) == 3
        Region.objects.bulk_create(
            Region(kind="cloudypad_aws", code=f"more-{index}", name="More", latitude=1, longitude=index % 180)
            for index in range(500)
        )
        assert queries(as_alice, path, DALLAS) == 3


class TestAll:
    def test_lists_every_region_by_continent(self, as_alice):
        body = as_alice.get(ALL).json()
        found = body["regions_by_continent"]
        assert body["total_regions"] == sum(map(len, found.values())) == 43
        assert list(found) == ["Africa", "Asia", "Europe", "North America", "Oceania", "South America"]
        iowa = next(one for one in found["North America"] if one["region_code"] == "us-central1")
        assert iowa == {
            "region_code": "us-central1",
            "region_name": "Council Bluffs, Iowa, United States",
            "city": "Council Bluffs",
            "state": "Iowa",
            "country": "United States",
            "country_code": "US",
            "latitude": 41.26194,
            "longitude": -95.86083,
            "gpu_models": ["L4", "T4"],
        }

    @pytest.mark.parametrize("cloud", CLOUDS)
    def test_knows_every_cloud(self, as_alice, cloud):
        assert as_alice.get(f"/launch/{cloud}/regions/all").json()["total_regions"] > 1

    def test_lists_nothing_of_a_cloud_without_regions(self, as_alice):
        Region.objects.all().delete()
        assert as_alice.get(ALL).json() == {"total_regions": 0, "regions_by_continent": {}}

    def test_takes_two_queries_however_many_regions_there_are(self, as_alice):
        assert queries(as_alice, ALL, {}) == 2
