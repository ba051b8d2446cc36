"""Deletes, stops and starts: the vendor's texts vary, the next move does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.vms.providers.literal import Answer, LiteralServer
from tests.vms.providers.wire import DETAIL, HTML, ID, VERBS
from vms.providers.base import (
    QuotaExceeded,
    Unavailable,
)
from vms.providers.tensordock import TensorDockProvider


@pytest.fixture
def provider(literal_provider: TensorDockProvider) -> TensorDockProvider:
    return literal_provider


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("7", 7.0),
            ("0", 0.0),
            ("1.5", 1.5),
            ("-3", 0.0),
            ("999999", 3600.0),
            ("nan", None),
            ("soon", None),
            ("", None),
        ],
    )
    @pytest.mark.parametrize("verb", VERBS)
    def test_is_passed_on(
        self,
        server: LiteralServer,
        provider: TensorDockProvider,
        verb: str,
        header: str,
        expected: float | None,
    ) -> None:
        server.answer({"error": "Too many requests"}, 429, headers={"Retry-After": header})
        with pytest.raises(Unavailable) as raised:
            VERBS[verb](provider)
        assert raised.value.retry_after == expected

    def test_may_be_a_moment(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        moment = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
        server.answer(HTML, 503, headers={"Retry-After": moment})
        with pytest.raises(Unavailable) as raised:
            provider.list()
        assert raised.value.retry_after == pytest.approx(600, abs=60)
        assert len(server.seen) == 1


class TestDelete:
    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, {"data": {"type": "success", "attributes": {"message": "Virtual machine deleted"}}}),
            (204, b""),
            (200, b""),
            (404, {"error": "not found"}),
            (200, {"status": 404, "error": "not found"}),
            (400, {"error": "Machine is already terminated"}),
            (409, {"error": "Virtual machine is being deleted"}),
        ],
    )
    def test_is_done(
        self, server: LiteralServer, provider: TensorDockProvider, status: int, body: Any
    ) -> None:
        server.answer(body, status)
        provider.delete(ID)
        assert [(seen.method, seen.path) for seen in server.seen] == [("DELETE", f"/instances/{ID}")]

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, {"error": "Failed to delete"}),
            (400, {"error": "Machine is locked"}),
            (400, {"error": "capacity"}),
            (404, HTML),
            (403, HTML),
            (200, HTML),
            (200, {"status": 500, "error": "upstream"}),
            (307, b""),
        ],
    )
    def test_is_not_done_and_may_be_repeated(
        self, server: LiteralServer, provider: TensorDockProvider, status: int, body: Any
    ) -> None:
        server.answer(body, status)
        with pytest.raises(Unavailable):
            provider.delete(ID)


class TestWrongState:
    """v2's texts for it vary, so the machine is asked what state it is in."""

    @pytest.mark.parametrize("status", [400, 409])
    @pytest.mark.parametrize(
        ("verb", "text", "state"),
        [
            (
                "stop",
                "Machine is stoppeddisassociated, therefore it cannot be stopped",
                "stoppeddisassociated",
            ),
            ("stop", "already stopped", "stopped"),
            ("stop", "must be running", "stopping"),
            ("start", "Machine is running, therefore it cannot be started", "running"),
            ("start", "already running", "running"),
            ("start", "must be stopped", "starting"),
        ],
    )
    def test_that_is_the_wished_one_is_success(
        self,
        server: LiteralServer,
        provider: TensorDockProvider,
        status: int,
        verb: str,
        text: str,
        state: str,
    ) -> None:
        refused = Answer(status, json.dumps({"error": text}).encode())
        server.answers = [refused, Answer(200, json.dumps({**DETAIL, "status": state}).encode())]
        VERBS[verb](provider)
        assert [seen.method for seen in server.seen] == ["POST", "GET"]

    @pytest.mark.parametrize(
        ("verb", "state"), [("stop", "creating"), ("start", "stopping"), ("start", "stopped")]
    )
    def test_that_is_another_one_is_for_later(
        self, server: LiteralServer, provider: TensorDockProvider, verb: str, state: str
    ) -> None:
        refused = Answer(409, json.dumps({"error": "wrong state"}).encode())
        server.answers = [refused, Answer(200, json.dumps({**DETAIL, "status": state}).encode())]
        with pytest.raises(Unavailable, match="wrong state"):
            VERBS[verb](provider)

    def test_of_a_start_without_money_is_the_quota(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        server.answer({"status": 400, "error": "you need at least $1.00"})
        with pytest.raises(QuotaExceeded):
            provider.start(ID)
