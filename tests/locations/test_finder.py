import traceback

import pytest

from locations.finder import FinderUnavailable, LocationFinder
from tests.waiting import eventually

from .finder_stand_in import PROJECT, location

AWS = ["us-east-2", "us-east-1", "us-west-2"]


@pytest.fixture
def finder(location_finder):
    location_finder.order["aws", "us-central1"] = AWS
    with LocationFinder(project=PROJECT, url=location_finder.url, timeout_s=30) as finder:
        yield finder


def refused(finder):
    with pytest.raises(FinderUnavailable) as refusal:
        finder.closest("aws", "us-central1")
    return refusal.value


class TestClosest:
    def test_tells_the_regions_in_the_api_s_order(self, finder, location_finder):
        assert finder.closest("aws", "us-central1") == AWS
        assert location_finder.asked == [("aws", "us-central1")]

    def test_follows_pages(self, finder, location_finder):
        location_finder.most_per_page = 2
        assert finder.closest("aws", "us-central1") == AWS
        assert len(location_finder.asked) == 2

    def test_does_not_follow_pages_without_end(self, finder, location_finder):
        location_finder.body = {"cloudLocations": [location("aws", "us-east-1")], "nextPageToken": "more"}
        assert finder.closest("aws", "us-central1") == ["us-east-1"]
        assert len(location_finder.asked) == 10

    def test_signs_in_once_for_many_questions(self, finder, location_finder):
        for _ in range(3):
            finder.closest("aws", "us-central1")
        assert location_finder.authorizations == ["Bearer canary-1"] * 3

    def test_signs_in_again_when_its_token_is_refused(self, finder, location_finder):
        finder.closest("aws", "us-central1")
        location_finder.expired.add("Bearer canary-1")
        assert finder.closest("aws", "us-central1") == AWS
        assert location_finder.authorizations[-1] == "Bearer canary-2"

    def test_leaves_out_locations_of_other_clouds(self, finder, location_finder):
        found = [location("gcp", "us-east1"), location("aws", "us-east-1")]
        location_finder.body = {"cloudLocations": found}
        assert finder.closest("aws", "us-central1") == ["us-east-1"]

    @pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500, 503])
    def test_says_when_it_was_refused_and_asks_once(self, finder, location_finder, status):
        location_finder.status = status
        location_finder.body = {"error": "later"}
        location_finder.headers = {"Location": location_finder.url}
        assert f"HTTP {status}" in str(refused(finder))
        assert len(location_finder.asked) == 1

    def test_tells_google_s_own_reason(self, finder, location_finder):
        location_finder.status = 403
        location_finder.body = {"error": {"code": 403, "message": "Cloud Location Finder API is disabled."}}
        assert str(refused(finder)) == "HTTP 403: Cloud Location Finder API is disabled."

    def test_hands_on_when_to_come_back(self, finder, location_finder):
        location_finder.status, location_finder.body = 429, {}
        location_finder.headers = {"Retry-After": "120"}
        assert refused(finder).retry_after == 120

    @pytest.mark.parametrize("header", ["soon", "nan", "-5"])
    def test_makes_nothing_of_an_odd_time_to_come_back(self, finder, location_finder, header):
        location_finder.status, location_finder.body = 503, b"<html>"
        location_finder.headers = {"Retry-After": header}
        assert not refused(finder).retry_after

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>busy</html>",
            b"",
            b"[" * 100_000,
            [1],
            "text",
            {},
            {"cloudLocations": []},
            {"cloudLocations": {"name": "aws-us-east-1"}},
            {"cloudLocations": ["aws-us-east-1"]},
            {"cloudLocations": [{"displayName": "us-east-1"}]},
            {"cloudLocations": [{"name": 5}]},
            {"cloudLocations": [{"name": "projects/p/locations/global/cloudLocations/oci-us-ashburn-1"}]},
            b" " * 2_000_001,
        ],
    )
    def test_says_when_it_cannot_read_the_answer(self, finder, location_finder, body):
        location_finder.body = body
        assert str(refused(finder))

    def test_gives_up_after_its_time(self, location_finder):
        location_finder.delay_s = 30
        with LocationFinder(project=PROJECT, url=location_finder.url, timeout_s=0.5) as finder:
            eventually(lambda: "Timeout" in str(refused(finder)))  # it may not come to its question in time

    def test_gives_up_on_an_answer_that_never_ends(self, location_finder):
        location_finder.drips = True
        with LocationFinder(project=PROJECT, url=location_finder.url, timeout_s=0.5) as finder:
            eventually(lambda: "too slow" in str(refused(finder)))  # its first byte may not come in time

    def test_says_when_nobody_is_there(self, location_finder):
        with LocationFinder(project=PROJECT, url="http://127.0.0.1:9/v1", timeout_s=30) as finder:
            assert "no answer" in str(refused(finder))


class TestCredentials:
    def test_that_are_refused_are_no_answer(self, finder, location_finder):
        location_finder.refuses_tokens = True
        assert "no credentials" in str(refused(finder))
        assert location_finder.asked == []

    @pytest.mark.parametrize("text", ["", "{}", '{"type": "service_account"}'])
    def test_that_cannot_be_read_are_no_answer(self, finder, tmp_path, monkeypatch, text):
        path = tmp_path / "broken.json"
        path.write_text(text)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        assert "no credentials" in str(refused(finder))

    def test_that_are_not_there_are_no_answer(self, finder, tmp_path, monkeypatch):
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
        assert "no credentials" in str(refused(finder))

    def test_do_not_come_with_an_error(self, finder, location_finder):
        finder.closest("aws", "us-central1")
        location_finder.status, location_finder.body = 500, {}
        error = refused(finder)
        told = "".join(traceback.format_exception(error)) + repr(error.__dict__)
        assert "canary" not in told
