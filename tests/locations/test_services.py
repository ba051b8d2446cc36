from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gamer.errors import ValidationError
from locations import services
from locations.geocoding.base import Matched
from locations.geocoding.nominatim import NominatimGeocoder
from locations.models import GeocodedPlace, GeocoderTurn
from locations.services import PlaceName
from tests.at_once import at_once
from tests.waiting import eventually

from .places import locate
from .processes import another_transaction, waiting_for_locks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
ATLANTIS = PlaceName("Atlantis Heights", "Idaho", "United States")


@pytest.fixture
def geocoder(nominatim):
    with NominatimGeocoder(user_agent="gamer-tests/1", url=nominatim.url, timeout_s=30) as geocoder:
        yield geocoder


@pytest.fixture
def missing(db):
    """A place the gazetteer does not know, asked for at NOW."""
    locate(city=ATLANTIS.city, state=ATLANTIS.state, country=ATLANTIS.country, now=NOW)
    return GeocodedPlace.objects.get()


@pytest.mark.django_db
class TestLocateOne:
    def test_answers_from_the_gazetteer_and_writes_nothing(self):
        position = locate(city="Chubbuck", state="Idaho", country="United States", now=NOW)
        assert (position.latitude, position.longitude, position.matched) == (
            42.92075,
            -112.46609,
            Matched.CITY,
        )
        assert not GeocodedPlace.objects.exists()

    def test_records_what_the_gazetteer_does_not_know(self):
        position = locate(city="Atlantis Heights", state="Idaho", country="United States", now=NOW)
        assert position.matched == Matched.STATE
        row = GeocodedPlace.objects.get()
        assert (row.city, row.state, row.country) == ATLANTIS
        assert (row.asked_at, row.look_at, row.position) == (NOW, NOW, None)

    def test_records_a_country_nobody_knows(self):
        assert locate(city="Paris", country="Wonderland", now=NOW) is None
        assert GeocodedPlace.objects.get().country == "Wonderland"

    def test_records_an_unknown_state_when_no_city_is_asked_for(self):
        assert locate(city="", state="Leinster County", country="Ireland", now=NOW).matched == Matched.COUNTRY
        assert GeocodedPlace.objects.get().state == "Leinster County"

    @pytest.mark.parametrize("names", [("", "Texas", "US"), ("", "", "US"), ("", "", ""), ("\0!", "", "")])
    def test_records_nothing_that_is_answered_or_no_question(self, names):
        city, state, country = names
        locate(city=city, state=state, country=country, now=NOW)
        assert not GeocodedPlace.objects.exists()

    @pytest.mark.parametrize("part", ["city", "state", "country"])
    def test_records_no_name_that_is_too_long_to_be_one(self, part):
        """A text of a vendor's, beside names that make a question without it; the other places of the same call are found."""
        place = PlaceName("Nowhere", "Neverland", "Wonderland")._replace(**{part: "x" * 257})
        found = services.locate_many(places=[place, PlaceName("Chubbuck", "Idaho", "US")], now=NOW)
        assert [position is None for position in found.values()] == [True, False]
        row = GeocodedPlace.objects.get()
        assert (row.city, row.state, row.country) == place._replace(**{part: ""})
        assert services._key(PlaceName(row.city, row.state, row.country)) == row.key

    def test_records_the_longest_name(self):
        locate(city="x" * 256, state="", country="Wonderland", now=NOW)
        assert len(GeocodedPlace.objects.get().city) == 256

    def test_records_a_question_once_however_it_is_spelt(self, missing):
        locate(city="ATLANTIS-heights", state="idaho", country="United States", now=NOW + DAY)
        assert GeocodedPlace.objects.get().asked_at == NOW

    def test_prefers_what_was_settled(self, missing):
        services.place_by_hand(place_id=missing.id, latitude=43.0, longitude=-112.0, now=NOW)
        position = locate(city="Atlantis heights", state="Idaho", country="United States", now=NOW)
        assert (position.latitude, position.longitude, position.matched) == (43.0, -112.0, Matched.CITY)

    @pytest.mark.parametrize("city", ["\0Nowhere\ud800 \x07at all", "x" * 10_000, "ﷺ" * 200, "Ŋ" * 256])
    def test_takes_odd_text(self, city):
        assert locate(city=city, country="US", now=NOW).matched == Matched.COUNTRY


@pytest.mark.django_db
class TestLocateMany:
    def test_answers_each_place_under_its_own_name(self):
        dallas, paris = PlaceName("Dallas", "Texas", "US"), PlaceName("Paris", "", "France")
        found = services.locate_many(places=[dallas, paris, dallas, ATLANTIS], now=NOW)
        assert set(found) == {dallas, paris, ATLANTIS}
        assert found[dallas].name == "Dallas, Texas, United States"
        assert found[paris].name == "Paris, Île-de-France, France"
        assert found[ATLANTIS].matched == Matched.STATE

    def test_takes_two_statements_for_any_number_of_places(self):
        services.prepare_gazetteer()
        places = [PlaceName(f"Nowhere {number}", "", "US") for number in range(100)]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            services.locate_many(places=places, now=NOW)
        assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 2
        assert GeocodedPlace.objects.count() == 100

    def test_answers_nothing_for_nothing(self):
        assert services.locate_many(places=[], now=NOW) == {}


@pytest.mark.django_db
class TestGeocodeMissing:
    def test_settles_a_place_for_good(self, missing, geocoder):
        assert services.geocode_missing(now=NOW, geocoder=geocoder) is None
        position = locate(city=ATLANTIS.city, state=ATLANTIS.state, country=ATLANTIS.country, now=NOW)
        assert (position.latitude, position.longitude) == (42.9207505, -112.4660918)
        missing.refresh_from_db()
        assert (missing.look_at, missing.answered_at, missing.matched) == (None, NOW, "city")

    def test_asks_for_the_place_as_it_was_named(self, missing, nominatim, geocoder):
        services.geocode_missing(now=NOW, geocoder=geocoder)
        assert [nominatim.asked[0][part] for part in ("city", "state", "country")] == list(ATLANTIS)

    def test_does_nothing_when_nothing_waits(self, db, nominatim, geocoder):
        assert services.geocode_missing(now=NOW, geocoder=geocoder) is None
        assert nominatim.asked == []

    def test_keeps_that_there_is_no_such_place_and_asks_again_in_a_month(self, missing, nominatim, geocoder):
        nominatim.body = []
        services.geocode_missing(now=NOW, geocoder=geocoder)
        services.geocode_missing(now=NOW + 29 * DAY, geocoder=geocoder)
        assert len(nominatim.asked) == 1
        missing.refresh_from_db()
        assert (missing.position, missing.answered_at, missing.error) == (None, NOW, "")
        services.geocode_missing(now=NOW + 30 * DAY, geocoder=geocoder)
        assert len(nominatim.asked) == 2

    def test_asks_one_place_a_second_the_longest_waiting_first(self, db, nominatim, geocoder):
        for number in range(3):
            locate(city=f"Nowhere {number}", country="US", now=NOW + number * SECOND)
        later = NOW + MINUTE
        next_at = services.geocode_missing(now=later, geocoder=geocoder)
        assert next_at == later + SECOND
        assert services.geocode_missing(now=next_at - SECOND / 1000, geocoder=geocoder) is None
        assert [asked["city"] for asked in nominatim.asked] == ["Nowhere 0"]
        assert services.geocode_missing(now=next_at, geocoder=geocoder) == next_at + SECOND
        assert services.geocode_missing(now=next_at + SECOND, geocoder=geocoder) is None
        assert [asked["city"] for asked in nominatim.asked] == ["Nowhere 0", "Nowhere 1", "Nowhere 2"]

    def test_waits_longer_after_each_failure_up_to_a_day(self, missing, nominatim, geocoder):
        nominatim.status = 500
        now, waits = NOW, []
        for _ in range(13):
            assert services.geocode_missing(now=now, geocoder=geocoder) is None
            missing.refresh_from_db()
            waits.append(missing.look_at - now)
            now = missing.look_at
        assert waits[:3] == [MINUTE, 2 * MINUTE, 4 * MINUTE]
        assert waits[-1] == DAY
        assert missing.tries == 13
        assert "500" in missing.error

    def test_forgets_its_failures_once_it_is_answered(self, missing, nominatim, geocoder):
        nominatim.status = 503
        services.geocode_missing(now=NOW, geocoder=geocoder)
        nominatim.status = 200
        services.geocode_missing(now=NOW + MINUTE, geocoder=geocoder)
        missing.refresh_from_db()
        assert (missing.tries, missing.error, missing.look_at) == (0, "", None)

    def test_leaves_a_service_that_is_away_alone(self, missing, nominatim, geocoder):
        locate(city="Nowhere", country="US", now=NOW)
        nominatim.status, nominatim.headers = 429, {"Retry-After": "300"}
        services.geocode_missing(now=NOW, geocoder=geocoder)
        services.geocode_missing(now=NOW + 299 * SECOND, geocoder=geocoder)
        assert len(nominatim.asked) == 1
        services.geocode_missing(now=NOW + 300 * SECOND, geocoder=geocoder)
        assert len(nominatim.asked) == 2

    def test_does_not_believe_a_retry_after_of_years(self, missing, nominatim, geocoder):
        nominatim.status, nominatim.headers = 429, {"Retry-After": "999999999999"}
        services.geocode_missing(now=NOW, geocoder=geocoder)
        missing.refresh_from_db()
        assert missing.look_at == NOW + DAY

    def test_takes_up_a_place_whose_process_died(self, missing, geocoder):
        class DiesHalfway(Exception):
            pass

        class Geocoder:
            def find(self, city, state, country):
                raise DiesHalfway

        with pytest.raises(DiesHalfway):
            services.geocode_missing(now=NOW, geocoder=Geocoder())
        assert services.geocode_missing(now=NOW + services.LEASE - SECOND, geocoder=geocoder) is None
        assert GeocodedPlace.objects.get().position is None
        services.geocode_missing(now=NOW + services.LEASE, geocoder=geocoder)
        assert GeocodedPlace.objects.get().position is not None

    def test_drops_an_answer_that_staff_was_faster_than(self, missing, nominatim, geocoder):
        class Geocoder:
            def find(self, city, state, country):
                services.place_by_hand(place_id=missing.id, latitude=1.0, longitude=2.0, now=NOW)
                return geocoder.find(city, state, country)

        services.geocode_missing(now=NOW, geocoder=Geocoder())
        missing.refresh_from_db()
        assert (missing.latitude, missing.longitude) == (1.0, 2.0)


@pytest.mark.django_db(transaction=True)
class TestTwoProcesses:
    def test_share_one_turn_a_second(self):
        for second in range(5):
            now = NOW + second * SECOND
            calls = [partial(GeocoderTurn.take, now)] * 6
            assert sorted(at_once(*calls)) == [False] * 5 + [True]

    def test_pass_over_a_place_that_another_is_claiming(self, missing, nominatim, geocoder):
        with another_transaction() as other:
            other.run(lambda: GeocodedPlace.objects.select_for_update().get())
            assert services.geocode_missing(now=NOW, geocoder=geocoder) is None
        assert nominatim.asked == []
        services.geocode_missing(now=NOW, geocoder=geocoder)
        assert len(nominatim.asked) == 1

    def test_pass_over_a_place_that_another_asks_for(self, missing, nominatim, geocoder):
        class Geocoder:
            def find(self, city, state, country):
                assert services.geocode_missing(now=NOW + 2 * SECOND, geocoder=geocoder) is None
                return geocoder.find(city, state, country)

        services.geocode_missing(now=NOW, geocoder=Geocoder())
        assert len(nominatim.asked) == 1

    def test_record_the_same_places_without_waiting_for_each_other_for_ever(self):
        """Both must wait for M before either goes on: in different orders they would hold A and Z then."""
        a, m, z = (PlaceName(f"Nowhere {letter}", "", "US") for letter in "AMZ")
        services.prepare_gazetteer()
        with another_transaction() as other:
            other.run(lambda: services.locate_many(places=[m], now=NOW))
            with ThreadPoolExecutor(1) as pool:
                orders = [[a, m, z], [z, m, a]]
                calls = [partial(services.locate_many, places=order, now=NOW) for order in orders]
                running = pool.submit(at_once, *calls)
                eventually(lambda: waiting_for_locks() == 2)
                other.end()
                assert [len(found) for found in running.result(30)] == [3, 3]
        assert GeocodedPlace.objects.count() == 3


@pytest.mark.django_db
class TestPlaceByHand:
    @pytest.mark.parametrize(
        ("latitude", "longitude", "field"),
        [
            (91.0, 0.0, "latitude"),
            (float("nan"), 0.0, "latitude"),
            (0.0, 181.0, "longitude"),
            (0.0, float("inf"), "longitude"),
        ],
    )
    def test_refuses_what_is_off_the_map(self, missing, latitude, longitude, field):
        with pytest.raises(ValidationError) as refused:
            services.place_by_hand(place_id=missing.id, latitude=latitude, longitude=longitude, now=NOW)
        assert list(refused.value.details) == [field]

    def test_ends_the_search(self, missing, nominatim, geocoder):
        services.place_by_hand(place_id=missing.id, latitude=43.0, longitude=-112.0, now=NOW)
        assert services.geocode_missing(now=NOW + DAY, geocoder=geocoder) is None
        assert nominatim.asked == []


@pytest.mark.django_db
class TestAskAgain:
    def test_forgets_and_looks_anew(self, missing, nominatim, geocoder):
        services.place_by_hand(place_id=missing.id, latitude=1.0, longitude=2.0, now=NOW)
        assert services.ask_again(place_ids=[missing.id], now=NOW) == 1
        missing.refresh_from_db()
        assert missing.position is None
        services.geocode_missing(now=NOW, geocoder=geocoder)
        missing.refresh_from_db()
        assert missing.latitude == 42.9207505


class TestPlaceOf:
    def test_answers_from_the_gazetteer(self):
        place = services.place_of(city="Chubbuck", state="Idaho", country="United States")
        assert (place.latitude, place.longitude) == (42.92075, -112.46609)

    @pytest.mark.django_db
    def test_records_nothing_of_what_it_does_not_know(self):
        assert services.place_of(city="Paris", state="", country="Wonderland") is None
        assert not GeocodedPlace.objects.exists()


class TestSearchPlaces:
    def test_finds_cities_by_their_beginning(self):
        assert services.search_places(q="chubb", limit=1)[0].name == "Chubbuck"


class TestFindCountry:
    def test_reads_an_alias(self):
        assert services.find_country(text="UK").code == "GB"
