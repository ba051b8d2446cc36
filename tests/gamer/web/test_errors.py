from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from gamer.web.errors import flatten
from tests.bad_inputs import assert_error

pytestmark = pytest.mark.django_db


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

    def test_shows_pages_to_people(self, visitor: APIClient) -> None:
        away, ours, missing = (visitor.get(f"/admin/plain/{kind}") for kind in ("away", "ours", "missing"))
        assert (away.status_code, away.headers["Content-Type"]) == (503, "text/plain")
        assert (ours.status_code, ours.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        assert (missing.status_code, missing.headers["Content-Type"]) == (404, "text/html; charset=utf-8")

    def test_answers_json_to_everything_else(self, visitor: APIClient) -> None:
        for kind, status in (("denied", 403), ("missing", 404), ("suspicious", 400)):
            response = visitor.get(f"/test/plain/{kind}")
            assert response.status_code == status
            assert_error(response)


class TestFlatten:
    def test_names_inner_fields_with_a_dot(self) -> None:
        assert flatten({"a": {"b": ["x", "y"]}}) == {"a.b": ["x", "y"]}

    def test_gives_what_belongs_to_a_whole_inner_object_to_its_field(self) -> None:
        assert flatten({"place": {"body": ["both or neither"]}}) == {"place": ["both or neither"]}

    def test_numbers_list_entries(self) -> None:
        assert flatten({"a": {0: ["x"], "1": {"b": ["y"]}}}) == {"a.0": ["x"], "a.1.b": ["y"]}
