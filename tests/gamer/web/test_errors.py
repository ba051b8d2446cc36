from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.test import Client
from rest_framework import exceptions as drf
from rest_framework.test import APIClient

from gamer.env import ROOT
from gamer.errors import GamerError
from gamer.web.errors import CODES, answer_for, flatten
from gamer.web.views import description
from tests.bad_inputs import assert_error

pytestmark = pytest.mark.django_db


def assert_page(response: Any, *words: str) -> None:
    """What a person is told, and a link that leads on."""
    text = response.content.decode()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert [word for word in words if word not in text] == []
    assert 'href="/admin/"' in text


class TestShape:
    @pytest.mark.parametrize(
        ("kind", "status", "code", "details"),
        [
            ("gamer", 402, "insufficient_credits", {"user_id": ["poor"]}),
            ("missing", 404, "not_found", {}),
            ("denied", 403, "permission_denied", {}),
            ("invalid", 400, "validation_error", {"name": ["bad"], "body": ["worse"]}),
            ("plain", 400, "validation_error", {"body": ["bad"]}),
            ("nested", 400, "validation_error", {"a.b": ["bad"], "c.1.d": ["worse"]}),
            ("throttled", 429, "rate_limited", {}),
            ("suspicious", 400, "validation_error", {}),
            ("away", 503, "unavailable", {"database": ["not reachable"]}),
            ("cut", 503, "unavailable", {"database": ["not reachable"]}),
            ("refused", 400, "validation_error", {}),
            ("twice", 409, "conflict", {}),
            ("gone", 409, "conflict", {}),
        ],
    )
    def test_is_the_same_for_every_exception(
        self, anyone: APIClient, kind: str, status: int, code: str, details: dict[str, list[str]]
    ) -> None:
        for path in (f"/test/faults/{kind}", f"/test/faults/{kind}/"):
            response = anyone.get(path)
            assert response.status_code == status
            assert assert_error(response) == details
            assert response.json()["error"]["code"] == code

    def test_names_the_field_in_the_message(self, anyone: APIClient) -> None:
        assert anyone.get("/test/faults/nested").json()["detail"] == "a.b: bad"

    @pytest.mark.parametrize(("kind", "seconds"), [("later", "7"), ("throttled", "3"), ("away", "5")])
    def test_says_when_to_come_back(self, anyone: APIClient, kind: str, seconds: str) -> None:
        assert anyone.get(f"/test/faults/{kind}").headers["Retry-After"] == seconds

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nowhere", 404),
            ("GET", "/test/faults/x/y/z", 404),
            ("PUT", "/health", 405),
            ("DELETE", "/auth/login", 405),
            ("POST", "/test/once", 401),
        ],
    )
    def test_holds_where_no_view_answers(
        self, anyone: APIClient, method: str, path: str, status: int
    ) -> None:
        response = anyone.generic(method, path)
        assert response.status_code == status
        assert_error(response)

    def test_challenges_who_is_not_known(self, anyone: APIClient) -> None:
        assert anyone.post("/test/once", {}).headers["WWW-Authenticate"] == "Bearer"

    def test_holds_for_a_host_that_is_not_ours(self, anyone: APIClient) -> None:
        response = anyone.get("/health", headers={"Host": "evil.example"})
        assert response.status_code == 400
        assert_error(response)

    def test_holds_for_thousands_of_parameters(self, anyone: APIClient) -> None:
        response = anyone.get("/test/events?" + "&".join(f"a{number}=1" for number in range(2000)))
        assert response.status_code == 400
        assert_error(response)


class TestServerError:
    @pytest.fixture
    def visitor(self) -> Any:
        return APIClient(raise_request_exception=False)

    def test_hides_a_fault_of_ours(self, visitor: APIClient) -> None:
        response = visitor.get("/test/faults/ours")
        assert response.status_code == 500
        assert response.json()["error"] == {
            "code": "error",
            "message": "Something went wrong on our side.",
            "details": {},
        }

    def test_is_unavailable_when_the_database_is_away_outside_of_the_api(self, visitor: APIClient) -> None:
        response = visitor.get("/test/plain/away")
        assert response.status_code == 503
        assert_error(response)

    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("plain/away", 503, ("Away for a moment", "The database is away; try again shortly.")),
            ("plain/ours", 500, ("Something went wrong on our side", "It is written in the log.")),
            ("plain/missing", 404, ("There is nothing here", "Look for it from the overview.")),
            ("plain/denied", 403, ("You may not do this", "Your login has no permission for it.")),
            ("plain/suspicious", 400, ("This cannot be read", "The request is not valid.")),
            ("plain/gamer", 402, ("There is not enough credit", "No money.")),
            ("plain/twice", 409, ("Somebody was faster", "This contradicts what is there; look again.")),
            ("plain/gone", 409, ("Somebody was faster", "This contradicts what is there; look again.")),
        ],
    )
    def test_shows_people_a_page_with_a_way_out(
        self, visitor: APIClient, path: str, status: int, words: tuple[str, ...]
    ) -> None:
        response = visitor.get(f"/admin/{path}")
        assert response.status_code == status
        assert_page(response, *words)

    def test_explains_a_form_from_before_a_login(self) -> None:
        response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "sam"})
        assert response.status_code == 403
        assert_page(response, "This form is out of date", "Go back, load its page again")

    def test_answers_json_to_everything_else(self, visitor: APIClient) -> None:
        for kind, status in (("denied", 403), ("missing", 404), ("suspicious", 400)):
            response = visitor.get(f"/test/plain/{kind}")
            assert response.status_code == status
            assert_error(response)


class TestCodes:
    """Every code of the contract, from our own errors and from what frameworks raise."""

    CODES = {
        "validation_error": 400, "invalid_state": 400, "not_authenticated": 401, "insufficient_credits": 402,
        "permission_denied": 403, "not_found": 404, "method_not_allowed": 405, "conflict": 409, "too_large": 413,
        "unsupported_media_type": 415, "rate_limited": 429, "no_capacity": 503, "provider_unavailable": 503,
        "unavailable": 503,
    }  # fmt: skip

    def test_of_ours_and_the_frameworks_are_the_contracts(self) -> None:
        ours = {kind.code: kind.status for kind in GamerError.__subclasses__()}
        assert {**{code: status for status, code in CODES.items()}, **ours} == self.CODES

    def test_are_all_in_the_description(self) -> None:
        """`error` is the 500 that is our fault: a client that reads the code as one of these must not break over it."""
        told = description("gamer.urls")["components"]["schemas"]["ErrorCode"]["enum"]
        assert sorted(told) == sorted([*self.CODES, "error"])

    @pytest.mark.parametrize("kind", GamerError.__subclasses__())
    def test_reach_the_client_with_their_status(self, kind: type[GamerError]) -> None:
        found = answer_for(kind("No.", details={"x": ["bad"]}, retry_after=9))
        assert found is not None
        status, body, headers = found
        assert (status, body["error"]["code"]) == (self.CODES[kind.code], kind.code)
        assert body["error"]["details"] == {"x": ["bad"]}
        assert headers["Retry-After"] == "9"

    @pytest.mark.parametrize(
        ("exc", "code"),
        [
            (drf.MethodNotAllowed("PUT"), "method_not_allowed"),
            (drf.UnsupportedMediaType("text/plain"), "unsupported_media_type"),
            (drf.NotAuthenticated(), "not_authenticated"),
            (drf.PermissionDenied(), "permission_denied"),
            (drf.NotFound(), "not_found"),
            (drf.ParseError(), "validation_error"),
            (RequestDataTooBig(), "too_large"),
        ],
    )
    def test_of_the_framework_are_named_as_ours(self, exc: Exception, code: str) -> None:
        found = answer_for(exc)
        assert found is not None
        assert (found[0], found[1]["error"]["code"]) == (self.CODES[code], code)


class TestADatabaseThatIsAway:
    """A real one: nobody listens where DATABASE_URL points."""

    ASK = """
import json, django
django.setup()
from django.test import Client
from rest_framework.test import APIClient
def told(answer): return [answer.status_code, answer.headers.get("Retry-After"), answer.content.decode()]
api, page = APIClient(), Client(raise_request_exception=False)
key = {"HTTP_X_API_KEY": "gk_abcd1234_" + "x" * 43}
print(json.dumps([
    told(api.get("/vms", **key)), told(api.get("/health?full=1", **key)), told(api.get("/health")),
    told(api.post("/auth/login", {"email": "a@b.test", "password": "correct horse"})),
    told(page.get("/admin/", HTTP_COOKIE="sessionid=" + "a" * 32)),
    told(api.get("/metrics", REMOTE_ADDR="10.9.9.9")),
]))
"""

    def test_is_a_503_with_retry_after_and_liveness_goes_on(self) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": "postgres://gamer:hunter2-canary@127.0.0.1:1/gamer",
            "DJANGO_SETTINGS_MODULE": "gamer.settings",
            "METRICS_ALLOWED_NETWORKS": "10.9.0.0/16",
        }
        ended = subprocess.run(
            [sys.executable, "-c", self.ASK],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip
        vms, full, alive, login, page, metrics = json.loads(ended.stdout.splitlines()[-1])
        for status, retry_after, body in (vms, full, login):
            assert (status, retry_after) == (503, "5")
            error = json.loads(body)["error"]
            assert (error["code"], error["details"]) == ("unavailable", {"database": ["not reachable"]})
        assert (alive[0], json.loads(alive[2])["status"]) == (200, "healthy")
        assert page[:2] == [503, "5"]
        assert "Away for a moment" in page[2]
        assert metrics[0] == 200
        assert "gamer_database_up 0.0" in metrics[2]
        assert "hunter2-canary" not in ended.stdout + ended.stderr


class TestFlatten:
    def test_names_inner_fields_with_a_dot(self) -> None:
        assert flatten({"a": {"b": ["x", "y"]}}) == {"a.b": ["x", "y"]}

    def test_gives_what_belongs_to_a_whole_inner_object_to_its_field(self) -> None:
        assert flatten({"place": {"body": ["both or neither"]}}) == {"place": ["both or neither"]}

    def test_numbers_list_entries(self) -> None:
        assert flatten({"a": {0: ["x"], "1": {"b": ["y"]}}}) == {"a.0": ["x"], "a.1.b": ["y"]}
