from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ
from hypothesis import given
from hypothesis import strategies as st

from gamer.errors import NotFound
from locations import distance, regions
from locations.catalogue import CLOUDS, GCP, RegionSeed, shipped
from locations.finder import FinderUnavailable, LocationFinder
from locations.models import FinderAnswer, Region
from locations.regions import Method

from .finder_stand_in import PROJECT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
DALLAS = {"latitude": 32.7767, "longitude": -96.797}
AWS_FROM_DALLAS = ["us-east-1", "us-east-2", "us-west-2"]


def ask(cloud="gcp", now=NOW, limit=5, use_location_finder=True, **place):
    return regions.closest(
        cloud=cloud, limit=limit, use_location_finder=use_location_finder, now=now, **(place or DALLAS)
    )


def codes(nearby):
    return [near.region.code for near in nearby.regions]


@pytest.fixture
def catalogue(db):
    regions.seed_regions(regions=shipped())


@pytest.fixture
def finder(location_finder):
    location_finder.order["aws", "us-south1"] = AWS_FROM_DALLAS
    with LocationFinder(project=PROJECT, url=location_finder.url, timeout_s=30) as finder:
        yield finder


@pytest.mark.django_db
class TestSeedRegions:
    DALLAS = RegionSeed(
        kind="cloudypad_gcp",
        code="us-south1",
        name="Dallas",
        city="Dallas",
        state="Texas",
        country="United States",
        gpu_models=("L4",),
    )

    def test_places_a_region_by_its_city(self):
        assert regions.seed_regions(regions=[self.DALLAS]) == 1
        region = Region.objects.get()
        assert (region.latitude, region.longitude) == (32.78306, -96.80667)
        assert (region.country_code, region.continent, region.gpu_models) == ("US", "North America", ["L4"])

    def test_keeps_the_coordinates_it_is_given(self):
        seed = RegionSeed(kind="x", code="y", name="Z", country="Nowhere", latitude=1.5, longitude=2.5)
        regions.seed_regions(regions=[seed])
        region = Region.objects.get()
        assert (region.latitude, region.longitude, region.country_code, region.continent) == (
            1.5,
            2.5,
            "",
            "",
        )

    def test_changes_what_changed_and_nothing_else(self):
        other = RegionSeed(kind="cloudypad_aws", code="us-south1", name="Elsewhere")
        regions.seed_regions(regions=[self.DALLAS, other])
        before = dict(Region.objects.values_list("code", "id").filter(kind="cloudypad_gcp"))
        regions.seed_regions(regions=[RegionSeed(kind="cloudypad_gcp", code="us-south1", name="Big D")])
        assert dict(Region.objects.values_list("code", "id").filter(kind="cloudypad_gcp")) == before
        assert set(Region.objects.values_list("kind", "name", "latitude")) == {
            ("cloudypad_gcp", "Big D", None),
            ("cloudypad_aws", "Elsewhere", None),
        }

    def test_takes_an_empty_catalogue(self):
        assert regions.seed_regions(regions=[]) == 0

    def test_writes_what_we_ship_once(self):
        regions.seed(NOW)
        before = list(Region.objects.values())
        regions.seed(NOW)
        assert list(Region.objects.values()) == before
        assert len(before) == len(list(shipped())) > 90

    def test_leaves_what_staff_made_theirs(self):
        regions.seed_regions(regions=[self.DALLAS])
        region = Region.objects.get()
        region.name, region.gpu_models = "Ours", ["H100"]
        regions.save_region(region=region, now=NOW)
        regions.seed_regions(regions=[self.DALLAS])
        region.refresh_from_db()
        assert (region.name, region.gpu_models) == ("Ours", ["H100"])

    def test_leaves_hidden_what_staff_hid(self):
        regions.seed_regions(regions=[self.DALLAS])
        ids = Region.objects.values_list("id", flat=True)
        assert regions.list_regions(region_ids=ids, is_listed=False, now=NOW) == 1
        assert regions.list_regions(region_ids=ids, is_listed=False, now=NOW) == 0
        regions.seed_regions(regions=[self.DALLAS])
        assert not Region.objects.get().is_listed


@pytest.mark.django_db
class TestSaveRegion:
    def test_fills_in_what_the_gazetteer_knows(self):
        region = Region(kind=GCP, code="us-new1", name="New", city="Chubbuck", country="United States")
        regions.save_region(region=region, now=NOW)
        region = Region.objects.get()
        assert (region.latitude, region.country_code, region.continent) == (42.92075, "US", "North America")
        assert region.edited_at == NOW

    def test_keeps_what_staff_wrote(self):
        region = Region(
            kind=GCP, code="a", name="A", country="Chile", continent="The Moon", latitude=1.0, longitude=2.0
        )
        regions.save_region(region=region, now=NOW)
        region = Region.objects.get()
        assert (region.latitude, region.continent, region.country_code) == (1.0, "The Moon", "CL")


@pytest.mark.usefixtures("catalogue")
class TestByContinent:
    def test_lists_every_region_once(self):
        found = regions.by_continent(cloud="gcp")
        assert list(found) == ["Africa", "Asia", "Europe", "North America", "Oceania", "South America"]
        assert sum(map(len, found.values())) == 43
        assert [region.code for region in found["Oceania"]] == [
            "australia-southeast1",
            "australia-southeast2",
        ]

    def test_lists_apart_what_is_on_no_continent(self):
        Region.objects.create(kind=GCP, code="moon-1", name="Moon")
        assert [region.code for region in regions.by_continent(cloud="gcp")["Elsewhere"]] == ["moon-1"]

    def test_leaves_out_what_staff_hid(self):
        Region.objects.filter(code__startswith="australia").update(is_listed=False)
        assert "Oceania" not in regions.by_continent(cloud="gcp")

    @pytest.mark.parametrize("cloud", ["oracle", "GCP", "cloudypad_gcp", ""])
    def test_knows_no_other_cloud(self, cloud):
        with pytest.raises(NotFound):
            regions.by_continent(cloud=cloud)


@pytest.mark.usefixtures("catalogue")
class TestClosestByDistance:
    def test_tells_the_nearest_first_with_their_distances(self):
        found = ask(limit=3)
        assert found.method == Method.DISTANCE
        assert codes(found) == ["us-south1", "us-central1", "northamerica-south1"]
        assert [near.distance_km for near in found.regions] == sorted(
            near.distance_km for near in found.regions
        )
        assert found.regions[0].distance_km == 1.1
        assert {near.source for near in found.regions} == {Method.DISTANCE}

    def test_leaves_out_what_is_hidden_or_on_no_map(self):
        Region.objects.filter(code="us-south1").update(is_listed=False)
        Region.objects.filter(code="us-central1").update(latitude=None, longitude=None)
        assert codes(ask(limit=1)) == ["northamerica-south1"]

    def test_tells_nothing_of_a_cloud_without_regions(self):
        Region.objects.all().delete()
        assert ask() == regions.Nearby(Method.DISTANCE, [])

    def test_tells_all_when_there_are_fewer_than_asked_for(self):
        assert len(ask("scaleway", limit=50).regions) == 2

    def test_knows_no_other_cloud(self):
        with pytest.raises(NotFound):
            ask("oracle")

    def test_reads_in_one_statement_and_writes_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            ask()
        assert not FinderAnswer.objects.exists()


@cache
def on_the_map(cloud):
    """The regions we ship, without a database."""
    return [regions.placed(regions._row(seed)) for seed in shipped() if seed.kind == CLOUDS[cloud]]


class TestNearest:
    @pytest.mark.parametrize("cloud", CLOUDS)
    @given(latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))
    def test_is_what_measuring_every_region_would_tell(self, cloud, latitude, longitude):
        """The vectorised ranking against a loop over geodesics."""

        def kilometres(region):
            return distance.distance_km((latitude, longitude), (region.latitude, region.longitude))

        near = regions._nearest(on_the_map(cloud), latitude, longitude, limit=5)
        assert [kilometres(one) for one in near] == sorted(map(kilometres, on_the_map(cloud)))[:5]


@pytest.mark.usefixtures("catalogue")
class TestClosestByLatency:
    def test_has_a_missing_answer_fetched_and_goes_by_distance_until_it_is_there(
        self, finder, location_finder
    ):
        assert ask("aws").method == Method.DISTANCE
        assert location_finder.tokens == 0
        (queued,) = OrmQ.objects.all()
        assert queued.func() == regions.TASK
        assert regions.refresh_one(now=NOW, finder=finder)
        assert location_finder.asked == [("aws", "us-south1")]
        found = ask("aws", now=NOW + SECOND, limit=3)
        assert found.method == Method.FINDER
        assert codes(found) == AWS_FROM_DALLAS
        assert {near.source for near in found.regions} == {Method.FINDER}

    def test_asks_from_the_region_of_google_cloud_nearest_to_the_player(self, finder):
        ask("aws", latitude=-33.9, longitude=18.4)
        assert FinderAnswer.objects.get().source == "africa-south1"

    def test_fills_up_by_distance_and_says_so(self, finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        found = ask("aws", limit=5)
        assert codes(found) == [*AWS_FROM_DALLAS, "us-west-1", "ca-central-1"]
        assert [near.source for near in found.regions] == [Method.FINDER] * 3 + [Method.DISTANCE] * 2

    def test_knows_regions_however_the_finder_writes_them(self, finder, location_finder):
        location_finder.order["azure", "us-south1"] = ["west-us-3", "South Central US", "atlantis"]
        ask("azure")
        regions.refresh_one(now=NOW, finder=finder)
        assert codes(ask("azure", limit=2)) == ["westus3", "southcentralus"]

    def test_goes_by_distance_when_the_finder_knows_none_of_ours(self, finder, location_finder):
        location_finder.order["aws", "us-south1"] = ["atlantis-1"]
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        assert ask("aws").method == Method.DISTANCE

    def test_puts_the_source_before_what_is_close_to_it(self, finder, location_finder):
        location_finder.order["gcp", "us-south1"] = ["us-east4", "us-central1"]
        ask("gcp")
        regions.refresh_one(now=NOW, finder=finder)
        assert codes(ask("gcp", limit=3)) == ["us-south1", "us-east4", "us-central1"]

    def test_leaves_out_what_staff_hid(self, finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        Region.objects.filter(code="us-east-1").update(is_listed=False)
        assert codes(ask("aws", limit=1)) == ["us-east-2"]

    def test_goes_by_distance_again_once_the_answer_is_old(self, finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        OrmQ.objects.all().delete()
        old = NOW + regions.USABLE_FOR
        assert ask("aws", now=old - SECOND).method == Method.FINDER
        assert not OrmQ.objects.exists()
        assert ask("aws", now=old).method == Method.DISTANCE
        assert OrmQ.objects.count() == 1

    def test_has_an_answer_fetched_once_a_minute_however_many_ask(self, finder):
        for second in range(60):
            ask("aws", now=NOW + second * SECOND)
        assert OrmQ.objects.count() == 1
        ask("aws", now=NOW + MINUTE)
        assert OrmQ.objects.count() == 2

    def test_queues_nothing_while_the_api_is_left_alone(self, finder, location_finder):
        location_finder.status, location_finder.body = 429, {}
        location_finder.headers = {"Retry-After": "3600"}
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        ask("aws", now=NOW + 30 * MINUTE)
        assert OrmQ.objects.count() == 1

    def test_goes_by_distance_when_told_to(self, finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        assert ask("aws", use_location_finder=False).method == Method.DISTANCE

    @pytest.mark.parametrize("cloud", ["paperspace", "scaleway"])
    def test_does_not_ask_of_clouds_the_finder_does_not_know(self, finder, cloud):
        assert ask(cloud).method == Method.DISTANCE
        assert not FinderAnswer.objects.exists()

    def test_is_off_without_a_project(self, finder, settings):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        settings.ENV = replace(settings.ENV, gcp_project_id="")
        assert ask("aws").method == Method.DISTANCE

    def test_goes_by_distance_when_no_region_of_google_cloud_is_on_the_map(self, finder):
        Region.objects.filter(kind=GCP).delete()
        assert ask("aws").method == Method.DISTANCE
        assert not FinderAnswer.objects.exists()

    def test_reads_in_two_statements(self, finder, django_assert_num_queries):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        with django_assert_num_queries(2):
            ask("aws")

    def test_reaches_no_network_in_the_asking(self, finder, location_finder, monkeypatch):
        """With the API away for good and no credentials to read, the question is answered all the same."""
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
        location_finder.delay_s = 3600
        assert codes(ask("aws", limit=1)) == ["us-east-2"]
        assert location_finder.authorizations == []


@pytest.mark.usefixtures("catalogue")
class TestRefreshOne:
    def test_does_nothing_when_nothing_is_due(self, finder, location_finder):
        assert not regions.refresh_one(now=NOW, finder=finder)
        assert location_finder.asked == []

    def test_asks_again_every_day(self, finder, location_finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        assert not regions.refresh_one(now=NOW + DAY - SECOND, finder=finder)
        location_finder.order["aws", "us-south1"] = ["us-west-2"]
        assert regions.refresh_one(now=NOW + DAY, finder=finder)
        assert FinderAnswer.objects.get().codes == ["us-west-2"]

    def test_waits_longer_after_each_failure_and_keeps_what_it_knew(self, finder, location_finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        location_finder.status, location_finder.body = 500, {"error": {"message": "backend"}}
        now, waits = NOW + DAY, []
        for _ in range(13):
            assert not regions.refresh_one(now=now, finder=finder)
            answer = FinderAnswer.objects.get()
            waits.append(answer.look_at - now)
            now = answer.look_at
        assert waits[:3] == [MINUTE, 2 * MINUTE, 4 * MINUTE]
        assert waits[-1] == DAY
        assert (answer.tries, answer.codes, answer.error) == (13, AWS_FROM_DALLAS, "HTTP 500: backend")
        assert answer.answered_at == NOW

    def test_forgets_its_failures_once_it_is_told(self, finder, location_finder):
        ask("aws")
        location_finder.status, location_finder.body = 500, {}
        regions.refresh_one(now=NOW, finder=finder)
        location_finder.status, location_finder.body = 200, None
        assert regions.refresh_one(now=NOW + MINUTE, finder=finder)
        answer = FinderAnswer.objects.get()
        assert (answer.tries, answer.error, answer.answered_at) == (0, "", NOW + MINUTE)

    def test_is_taken_up_by_another_when_its_process_died(self, finder):
        class Died(Exception):
            pass

        class Dies:
            def closest(self, cloud, source):
                raise Died

        ask("aws")
        with pytest.raises(Died):
            regions.refresh_one(now=NOW, finder=Dies())
        assert not regions.refresh_one(now=NOW + MINUTE, finder=finder)
        assert regions.refresh_one(now=NOW + 2 * MINUTE, finder=finder)

    def test_drops_an_answer_another_process_was_faster_with(self, finder):
        class Slow:
            def closest(self, cloud, source):
                regions.refresh_one(now=NOW + 2 * MINUTE, finder=finder)
                raise FinderUnavailable("too late")

        ask("aws")
        regions.refresh_one(now=NOW, finder=Slow())
        answer = FinderAnswer.objects.get()
        assert (answer.codes, answer.tries) == (AWS_FROM_DALLAS, 0)


@pytest.mark.usefixtures("catalogue")
class TestAskFinderAgain:
    def test_has_answers_fetched_at_once_and_keeps_them_until_then(self, finder, location_finder):
        ask("aws")
        regions.refresh_one(now=NOW, finder=finder)
        OrmQ.objects.all().delete()
        ids = FinderAnswer.objects.values_list("id", flat=True)
        assert regions.ask_finder_again(answer_ids=ids, now=NOW + MINUTE) == 1
        assert OrmQ.objects.count() == 1
        assert ask("aws").method == Method.FINDER
        assert regions.refresh_one(now=NOW + MINUTE, finder=finder)

    def test_queues_nothing_for_nothing(self):
        assert regions.ask_finder_again(answer_ids=[], now=NOW) == 0
        assert not OrmQ.objects.exists()


@pytest.mark.django_db
class TestFinderAnswer:
    @pytest.mark.parametrize("columns", [{"codes": ["a"]}, {"answered_at": NOW}], ids=["unanswered", "empty"])
    def test_is_an_answer_with_regions_or_none(self, columns):
        moments = {"asked_at": NOW, "queued_at": NOW, "look_at": NOW}
        with pytest.raises(IntegrityError), transaction.atomic():
            FinderAnswer.objects.create(source="a", kind=GCP, **moments, **columns)

    def test_asks_as_often_for_many_regions_as_for_few(self, settings):
        settings.ENV = replace(settings.ENV, gcp_project_id=PROJECT)
        regions.seed_regions(regions=shipped())

        def count():
            FinderAnswer.objects.all().delete()
            with CaptureQueriesContext(connection) as seen:
                ask("aws")
            return len(seen)

        few = count()
        Region.objects.bulk_create(
            Region(kind=kind, code=f"more-{index}", name="More", latitude=index % 90, longitude=index % 180)
            for index in range(500)
            for kind in (GCP, CLOUDS["aws"])
        )
        assert count() == few
