import pytest

from locations.geocoding.base import GeocoderUnavailable, Matched, Position
from locations.geocoding.nominatim import NominatimGeocoder
from tests.waiting import eventually

CHUBBUCK = ("Chubbuck", "Idaho", "United States")


@pytest.fixture
def geocoder(nominatim):
    with NominatimGeocoder(user_agent="gamer-tests/1", url=nominatim.url, timeout_s=30) as geocoder:
        yield geocoder


class TestFind:
    def test_asks_by_the_parts_of_the_address_and_under_its_own_name(self, nominatim, geocoder):
        geocoder.find(*CHUBBUCK)
        (asked,) = nominatim.asked
        assert asked == {
            "path": "/nominatim/search",
            "city": "Chubbuck",
            "state": "Idaho",
            "country": "United States",
            "format": "json",
            "limit": "1",
            "accept-language": "en",
        }
        assert nominatim.agents == ["gamer-tests/1"]

    def test_answers_with_the_position_and_its_name(self, geocoder):
        assert geocoder.find(*CHUBBUCK) == Position(
            latitude=42.9207505,
            longitude=-112.4660918,
            matched=Matched.CITY,
            name="Chubbuck, Bannock County, Idaho, United States",
        )

    @pytest.mark.parametrize(
        ("names", "matched"),
        [
            (("", "Idaho", "US"), Matched.STATE),
            (("", "", "US"), Matched.COUNTRY),
            (("Chubbuck", "", ""), Matched.CITY),
        ],
    )
    def test_says_how_much_it_was_asked(self, nominatim, geocoder, names, matched):
        assert geocoder.find(*names).matched == matched
        assert "" not in nominatim.asked[0].values()

    def test_knows_when_there_is_no_such_place(self, nominatim, geocoder):
        nominatim.body = []
        assert geocoder.find(*CHUBBUCK) is None

    @pytest.mark.parametrize("names", [("", " ", ""), ("x" * 201, "", "US")])
    def test_does_not_ask_for_nothing_or_nonsense(self, nominatim, geocoder, names):
        assert geocoder.find(*names) is None
        assert nominatim.asked == []

    @pytest.mark.parametrize("status", [400, 403, 429, 500, 502, 503])
    def test_asks_once_and_says_it_was_refused(self, nominatim, geocoder, status):
        nominatim.status = status
        with pytest.raises(GeocoderUnavailable):
            geocoder.find(*CHUBBUCK)
        assert len(nominatim.asked) == 1

    def test_hands_on_when_to_come_back(self, nominatim, geocoder):
        nominatim.status, nominatim.headers = 429, {"Retry-After": "120"}
        with pytest.raises(GeocoderUnavailable) as refused:
            geocoder.find(*CHUBBUCK)
        assert refused.value.retry_after == 120

    def test_gives_up_after_the_timeout(self, nominatim):
        nominatim.delay_s = 30
        with NominatimGeocoder(user_agent="gamer-tests/1", url=nominatim.url, timeout_s=0.3) as geocoder:
            with pytest.raises(GeocoderUnavailable, match="timed out"):
                geocoder.find(*CHUBBUCK)
        eventually(lambda: nominatim.asked)
        assert len(nominatim.asked) == 1

    def test_waits_as_long_as_it_is_told(self, nominatim):
        """Longer than geopy's own second."""
        nominatim.delay_s = 1.1
        with NominatimGeocoder(user_agent="gamer-tests/1", url=nominatim.url, timeout_s=30) as geocoder:
            assert geocoder.find(*CHUBBUCK).matched == Matched.CITY

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>busy</html>",
            [1, 2],
            ["x"],
            {"error": "Bandwidth limit exceeded"},
            [{}],
            [{"lat": "north", "lon": "1", "display_name": "x"}],
            pytest.param(
                [{"lat": "91", "lon": "1", "display_name": "x"}],
                marks=pytest.mark.filterwarnings("ignore:Latitude normalization:UserWarning"),
            ),
            [{"lat": "nan", "lon": "1", "display_name": "x"}],
            [{"lat": "1", "lon": None, "display_name": "x"}],
            "text",
            7,
        ],
    )
    def test_says_when_it_cannot_read_the_answer(self, nominatim, geocoder, body):
        nominatim.body = body
        with pytest.raises(GeocoderUnavailable):
            geocoder.find(*CHUBBUCK)

    def test_says_when_nobody_is_there(self):
        with NominatimGeocoder(
            user_agent="gamer-tests/1", url="http://127.0.0.1:9", timeout_s=0.3
        ) as geocoder:
            with pytest.raises(GeocoderUnavailable):
                geocoder.find(*CHUBBUCK)
