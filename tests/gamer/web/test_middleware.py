from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from rest_framework.test import APIClient

from gamer.asgi import application
from tests.bad_inputs import assert_error
from tests.gamer.web.test_errors import assert_page
from tests.log_lines import Written, written
from tests.world import World

pytestmark = pytest.mark.django_db
LIMIT = 1_000_000


def chunked(client: APIClient, body: bytes) -> Any:
    """A request whose length nobody announced, as WSGI servers hand it on."""
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/test/things",
        "CONTENT_TYPE": "application/json",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
    }
    return client.request(**environ)


class TestBodyLimit:
    def announce(self, client: APIClient, length: str, body: bytes = b"{}") -> Any:
        environ = {"CONTENT_LENGTH": length, "wsgi.input": BytesIO(body), "CONTENT_TYPE": "application/json"}
        return client.request(REQUEST_METHOD="POST", PATH_INFO="/test/echo", **environ)

    @pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 5000])
    def test_refuses_by_the_announced_length(self, anyone: APIClient, length: str) -> None:
        response = self.announce(anyone, length)
        assert response.status_code == 413
        assert_error(response)

    def test_refuses_a_form_with_a_page(self, anyone: APIClient) -> None:
        response = anyone.post("/admin/login/", {"username": "x" * LIMIT})
        assert response.status_code == 413
        assert_page(response, "This is too large", "The body is larger than 1000000 bytes.")

    @pytest.mark.parametrize(("size", "left"), [(2_000_000, 0), (40_000_000, 24_000_000)])
    def test_reads_what_it_refuses_but_not_for_ever(self, anyone: APIClient, size: int, left: int) -> None:
        body = BytesIO(b"x" * size)
        environ = {"CONTENT_LENGTH": str(size), "wsgi.input": body}
        response = anyone.request(REQUEST_METHOD="POST", PATH_INFO="/test/echo", **environ)
        assert response.status_code == 413
        assert size - body.tell() == left

    def test_reads_a_body_that_announces_no_length(self, anyone: APIClient) -> None:
        response = chunked(anyone, b'{"count": 5}')
        assert (response.status_code, response.json()["count"]) == (200, 5)

    def test_refuses_a_long_body_that_announces_no_length(self, anyone: APIClient) -> None:
        response = chunked(anyone, b'{"name": "' + b"x" * LIMIT + b'"}')
        assert response.status_code == 413
        assert_error(response)

    @pytest.mark.parametrize("length", ["²", "-5", "x", "1e3", ""])
    def test_minds_no_nonsense(self, anyone: APIClient, length: str) -> None:
        assert self.announce(anyone, length).status_code in (200, 400)


class TestLargeBody:
    """Of a view that takes larger ones."""

    def send(self, client: APIClient, size: int, query: str = "word", **environ: Any) -> tuple[Any, BytesIO]:
        body = BytesIO(b"x" * size)
        sent = {
            "CONTENT_LENGTH": str(size),
            "wsgi.input": body,
            "CONTENT_TYPE": "application/gzip",
            **environ,
        }
        return client.request(
            REQUEST_METHOD="POST", PATH_INFO="/test/packed", QUERY_STRING=query, **sent
        ), body

    @pytest.mark.parametrize("size", [1, LIMIT + 1, 3_000_000])
    def test_is_read_up_to_the_views_own_limit(self, anyone: APIClient, size: int) -> None:
        response, _ = self.send(anyone, size)
        assert (response.status_code, response.json()) == (200, {"bytes": size})

    @pytest.mark.parametrize(("size", "left"), [(3_000_001, 0), (40_000_000, 24_000_000)])
    def test_past_that_is_refused_politely(self, anyone: APIClient, size: int, left: int) -> None:
        response, body = self.send(anyone, size)
        assert response.status_code == 413
        assert_error(response)
        assert size - body.tell() == left

    def test_is_not_read_before_it_is_known_who_sends_it(self, anyone: APIClient) -> None:
        response, body = self.send(anyone, 2_000_000, query="")
        assert (response.status_code, body.tell()) == (403, 0)

    def test_that_announces_no_length_is_as_small_as_others(self, anyone: APIClient) -> None:
        unannounced = {
            "CONTENT_LENGTH": "",
            "HTTP_TRANSFER_ENCODING": "chunked",
            "wsgi.input_terminated": True,
        }
        assert self.send(anyone, LIMIT, **unannounced)[0].status_code == 200
        assert self.send(anyone, LIMIT + 1, **unannounced)[0].status_code == 413

    @pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
    def test_of_another_kind_is_refused(self, anyone: APIClient, kind: str) -> None:
        assert self.send(anyone, 2_000_000, CONTENT_TYPE=kind)[0].status_code == 415

    def test_of_nothing_is_refused_by_name(self, anyone: APIClient) -> None:
        assert assert_error(self.send(anyone, 0)[0]) == {"packed": ["The body is empty."]}


class TestRequestId:
    @pytest.mark.parametrize("given", ["abc-123", "a" * 64, "trace:1.2_3"])
    def test_of_the_client_is_taken_over(self, anyone: APIClient, given: str) -> None:
        assert anyone.get("/health", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a\r\nX: y", "ä", "<script>", "a\x00"])
    def test_that_is_long_or_odd_is_replaced(self, anyone: APIClient, given: str) -> None:
        answered = anyone.get("/health", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f]{32}", answered)

    def test_is_another_for_each_request_and_on_errors_too(self, anyone: APIClient) -> None:
        found = {
            anyone.get(path).headers["X-Request-ID"] for path in ("/health", "/health", "/nowhere", "/%00")
        }
        assert len(found) == 4

    def test_is_shown_to_a_site_we_named(self, anyone: APIClient, settings: Any) -> None:
        settings.CORS_ALLOWED_ORIGINS = ["https://ours.example"]
        response = anyone.get("/health", HTTP_ORIGIN="https://ours.example")
        assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]


class TestCaches:
    @pytest.mark.parametrize("path", ["/games", "/billing/credits", "/nowhere"])
    def test_keep_nothing_of_the_api(self, as_alice: APIClient, as_service: APIClient, path: str) -> None:
        for client in (as_alice, as_service):
            assert client.get(path).headers["Cache-Control"] == "no-store"

    def test_are_told_of_files_by_who_serves_them(self, anyone: APIClient) -> None:
        assert "Cache-Control" not in anyone.get("/static/nothing.css").headers


class TestLogLines:
    @pytest.fixture
    def told(self) -> Iterator[Written]:
        with written() as stream:
            yield stream

    def test_say_who_asked_what_and_what_came_of_it(
        self, world: World, as_service: APIClient, told: Written
    ) -> None:
        vm_id = "a0a0a0a0-0000-4000-8000-000000000000"
        answer = as_service.get(f"/vms/{vm_id}/status?latitude=52.5")
        (line,) = [one for one in told.lines if one["event"] == "request_finished"]
        assert line["request_id"] == answer.headers["X-Request-ID"]
        assert (line["actor"], line["vm"], line["code"]) == (f"key:{world.service_key.prefix}", vm_id, 404)
        assert line["request"] == f"GET /vms/{vm_id}/status"  # where somebody lives is not logged
        assert "ip" not in line

    def test_of_a_fault_have_its_traceback_and_no_secret(self, told: Written) -> None:
        client = APIClient(raise_request_exception=False)
        assert client.get("/test/faults/secretive").status_code == 500
        (line,) = [one for one in told.lines if one["event"] == "request_failed"]
        assert (line["level"], line["code"]) == ("error", 500)
        assert "RuntimeError: the vendor said ***" in line["exception"]

    def test_say_nothing_of_the_request_before(
        self, as_service: APIClient, anyone: APIClient, told: Written
    ) -> None:
        as_service.get("/vms/a0a0a0a0-0000-4000-8000-000000000000/status")
        anyone.get("/nowhere")
        line = [one for one in told.lines if one["event"] == "request_finished"][-1]
        assert not {"actor", "vm"} & line.keys()


class TestNul:
    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/test/events?order=a%00", "order"),
            ("/test/events?a%00b=1", "a\ufffdb"),
            ("/test/faults/a%00b", "path"),
            ("/%00", "path"),
        ],
    )
    def test_is_refused_in_an_address_by_name(self, anyone: APIClient, path: str, field: str) -> None:
        response = anyone.get(path)
        assert response.status_code == 400
        assert set(assert_error(response)) == {field}

    def test_is_refused_on_a_page(self, anyone: APIClient) -> None:
        response = anyone.get("/admin/?q=%00")
        assert response.status_code == 400
        assert_page(response, "q: Contains a NUL character.")

    def test_is_refused_in_a_cookie(self, anyone: APIClient) -> None:
        anyone.cookies["sessionid"] = "a" * 10
        response = anyone.get("/test/once", HTTP_COOKIE='sessionid="aaaaaaaaaa\\000"')
        assert 400 <= response.status_code < 500
        assert_error(response)


class TestCors:
    def test_lets_no_other_site_in(self, anyone: APIClient) -> None:
        response = anyone.get("/health", HTTP_ORIGIN="https://other.example")
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_shows_a_site_we_named_the_lists_headers(self, anyone: APIClient, settings: Any) -> None:
        settings.CORS_ALLOWED_ORIGINS = ["https://ours.example"]
        response = anyone.get("/health", HTTP_ORIGIN="https://ours.example")
        assert response.headers["Access-Control-Allow-Origin"] == "https://ours.example"
        assert {"link", "x-total-count", "location", "retry-after", "idempotent-replayed"} <= set(
            response.headers["Access-Control-Expose-Headers"].lower().split(", ")
        )
        assert "Access-Control-Allow-Credentials" not in response.headers

    def test_shows_a_site_we_named_what_a_save_is_called(self, anyone: APIClient, settings: Any) -> None:
        settings.CORS_ALLOWED_ORIGINS = ["https://ours.example"]
        response = anyone.get("/health", HTTP_ORIGIN="https://ours.example")
        assert "Content-Disposition" in response.headers["Access-Control-Expose-Headers"].split(", ")

    def test_lets_a_site_we_named_send_the_apis_headers(self, anyone: APIClient, settings: Any) -> None:
        settings.CORS_ALLOWED_ORIGINS = ["https://ours.example"]
        asked = {"authorization", "content-type", "idempotency-key", "x-api-key", "x-request-id"}
        response = anyone.options(
            "/vms",
            HTTP_ORIGIN="https://ours.example",
            HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
            HTTP_ACCESS_CONTROL_REQUEST_HEADERS=",".join(sorted(asked)),
        )
        assert response.status_code == 200
        allowed = set(response.headers["Access-Control-Allow-Headers"].lower().split(", "))
        assert asked - allowed == set()


class TestAsgi:
    """What uvicorn serves, fed by hand as it does."""

    def send(
        self, *chunks: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), path: str = "/test/echo"
    ) -> tuple[int, Any]:
        sent: list[Any] = []
        if not any(name == b"content-type" for name, _ in headers):
            headers = (*headers, (b"content-type", b"application/json"))
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"word",
            "headers": [(b"host", b"testserver"), *headers],
        }
        messages = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, start=1)
        ]

        async def receive() -> Any:
            if not messages:
                await asyncio.Event().wait()  # the client stays and says nothing more
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(application(scope, receive, send))
        self.unread = len(messages)
        self.headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], body.decode() if path.startswith("/admin") else json.loads(body)

    @pytest.mark.parametrize(("chunks", "unread"), [(1, 0), (2, 0), (10, 0), (30, 13)])
    def test_reads_a_long_body_before_it_refuses_but_not_for_ever(self, chunks: int, unread: int) -> None:
        status, body = self.send(*[b"x" * LIMIT] * (chunks - 1), b"x" * (LIMIT + 1))
        assert (status, body["error"]["code"]) == (413, "too_large")
        assert self.unread == unread

    @pytest.mark.parametrize(
        "length",
        [
            (b"content-length", str(LIMIT + 1).encode()),
            (b"transfer-encoding", b"chunked"),
            (b"x-length", b"unknown"),
        ],
    )
    def test_refuses_a_long_body_with_all_that_belongs_to_an_answer(
        self, settings: Any, length: tuple[bytes, bytes]
    ) -> None:
        settings.CORS_ALLOWED_ORIGINS = ["https://play.gamer.test"]
        named = ((b"origin", b"https://play.gamer.test"), (b"x-request-id", b"mine-1"), length)
        with written() as lines:
            status, _ = self.send(b"x" * (LIMIT + 1), headers=named)
        assert (status, self.headers["x-request-id"], self.headers["connection"]) == (413, "mine-1", "close")
        assert self.headers["access-control-allow-origin"] == "https://play.gamer.test"
        (line,) = [one for one in lines.lines if one.get("event") == "request_finished"]
        assert (line["code"], line["request_id"]) == (413, "mine-1")

    def test_refuses_a_form_with_a_page(self) -> None:
        status, page = self.send(b"x" * (LIMIT + 1), path="/admin/login/")
        assert status == 413
        assert "This is too large" in page

    def test_passes_a_chunked_body_on(self) -> None:
        status, body = self.send(b'{"cou', b'nt": 5}', headers=((b"transfer-encoding", b"chunked"),))
        assert (status, body["count"]) == (200, 5)

    @pytest.mark.parametrize(("size", "expected"), [(2_000_000, 200), (3_000_001, 413)])
    def test_takes_a_large_body_for_a_view_that_does(self, size: int, expected: int) -> None:
        headers = ((b"content-type", b"application/gzip"), (b"content-length", str(size).encode()))
        status, _ = self.send(
            b"x" * 1_000_000, b"x" * (size - 1_000_000), headers=headers, path="/test/packed"
        )
        assert status == expected

    def test_takes_none_that_announces_no_length(self) -> None:
        headers = ((b"content-type", b"application/gzip"),)
        status, _ = self.send(b"x" * 1_000_000, b"x", headers=headers, path="/test/packed")
        assert status == 413
