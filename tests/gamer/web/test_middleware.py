from __future__ import annotations

import asyncio
import json
from io import BytesIO
from typing import Any

import pytest
from rest_framework.test import APIClient

from gamer.asgi import application
from tests.bad_inputs import assert_error

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
    def test_refuses_by_the_announced_length_before_reading(self, anyone: APIClient) -> None:
        response = anyone.post("/test/things", {}, CONTENT_LENGTH=str(LIMIT + 1))
        assert response.status_code == 413
        assert_error(response)

    def test_reads_a_body_that_announces_no_length(self, anyone: APIClient) -> None:
        response = chunked(anyone, b'{"count": 5}')
        assert (response.status_code, response.json()["count"]) == (200, 5)

    def test_refuses_a_long_body_that_announces_no_length(self, anyone: APIClient) -> None:
        response = chunked(anyone, b'{"name": "' + b"x" * LIMIT + b'"}')
        assert response.status_code == 413
        assert_error(response)

    @pytest.mark.parametrize("announced", ["²", "-5", "x", "1e3", ""])
    def test_minds_no_nonsense(self, anyone: APIClient, announced: str) -> None:
        response = anyone.post("/test/things", {}, CONTENT_LENGTH=announced)
        assert response.status_code in (200, 400)


class TestNul:
    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/test/events?order=a%00", "order"),
            ("/test/events?a%00b=1", "a\ufffdb"),
            ("/test/faults/a%00b", "path"),
            ("/%00", "path"),
            ("/admin/?q=%00", "q"),
        ],
    )
    def test_is_refused_in_an_address_by_name(self, anyone: APIClient, path: str, field: str) -> None:
        response = anyone.get(path)
        assert response.status_code == 400
        assert set(assert_error(response)) == {field}

    def test_is_refused_in_a_cookie(self, anyone: APIClient) -> None:
        anyone.cookies["sessionid"] = "a" * 10
        response = anyone.get("/test/once", HTTP_COOKIE='sessionid="aaaaaaaaaa\\000"')
        assert 400 <= response.status_code < 500
        assert_error(response)


class TestAsgi:
    """What uvicorn serves, fed by hand as it does."""

    def send(self, *chunks: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> tuple[int, Any]:
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/test/echo",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), (b"content-type", b"application/json"), *headers],
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
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], json.loads(body)

    def test_refuses_before_the_end_of_a_long_body(self) -> None:
        status, body = self.send(*[b"x" * 300_000] * 10)
        assert (status, body["error"]["code"]) == (413, "too_large")
        assert self.unread == 6

    def test_passes_a_chunked_body_on(self) -> None:
        status, body = self.send(b'{"cou', b'nt": 5}', headers=((b"transfer-encoding", b"chunked"),))
        assert (status, body["count"]) == (200, 5)
