from __future__ import annotations

import ipaddress
import json

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from events.channels.addresses import is_public, resolve
from events.channels.base import BadTarget, Refused, TryLater
from events.channels.webhook import MOST_BYTES, WebhookChannel, is_secret, make_secret
from tests.events.channels.receiver import Receiver
from tests.events.channels.test_contract import MESSAGE
from tests.waiting import eventually

LOCAL = WebhookChannel(allows_local=True)


class TestSigning:
    def test_is_verified_by_the_receivers_library(self, receiver: Receiver) -> None:
        secret = make_secret()
        LOCAL.send(MESSAGE, target=receiver.url, secret=secret)
        path, headers, body = receiver.requests[0]
        assert path == "/hooks"
        assert Webhook(secret).verify(body, headers)["type"] == "budget.crossed"
        assert json.loads(body)["timestamp"] == "2026-06-15T12:00:00Z"
        assert json.loads(body)["data"]["budget_id"] == 7

    def test_is_not_verified_by_another_secret(self, receiver: Receiver) -> None:
        LOCAL.send(MESSAGE, target=receiver.url, secret=make_secret())
        _, headers, body = receiver.requests[0]
        with pytest.raises(WebhookVerificationError):
            Webhook(make_secret()).verify(body, headers)

    def test_knows_a_secret_by_its_shape(self) -> None:
        assert is_secret(make_secret())
        for text in ("", "whsec_", "whsec_short", "whsec_ä", make_secret().removeprefix("whsec_")):
            assert not is_secret(text)


class TestAnswers:
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_are_waited_for_when_they_are_of_the_moment(self, receiver: Receiver, status: int) -> None:
        receiver.answers = [(status, {"Retry-After": "120"}, b"")]
        with pytest.raises(TryLater) as caught:
            LOCAL.send(MESSAGE, target=receiver.url)
        assert caught.value.retry_after == 120

    @pytest.mark.parametrize("text", ["soon", "-5", "²", "Wed, 21 Oct 2026 07:28:00 GMT"])
    def test_may_say_nonsense_of_the_time(self, receiver: Receiver, text: str) -> None:
        receiver.answers = [(503, {"Retry-After": text}, b"")]
        with pytest.raises(TryLater) as caught:
            LOCAL.send(MESSAGE, target=receiver.url)
        assert caught.value.retry_after is None

    @pytest.mark.parametrize("status", [400, 404, 410])
    def test_are_final_when_they_are_of_the_message(self, receiver: Receiver, status: int) -> None:
        receiver.answers = [(status, {}, b"")]
        with pytest.raises(Refused):
            LOCAL.send(MESSAGE, target=receiver.url)

    def test_lead_nowhere_else(self, receiver: Receiver) -> None:
        receiver.answers = [(302, {"Location": receiver.url + "/elsewhere"}, b"")]
        with pytest.raises(Refused, match="redirects"):
            LOCAL.send(MESSAGE, target=receiver.url)
        assert len(receiver.requests) == 1

    def test_are_read_to_a_bound(self, receiver: Receiver) -> None:
        receiver.answers = [(200, {"Content-Length": str(10**12)}, b"x" * (4 * MOST_BYTES))]
        LOCAL.send(MESSAGE, target=receiver.url)

    @pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
    def test_that_drip_are_cut_off(self, receiver: Receiver, start: bytes) -> None:
        receiver.drips = start

        def cut_off() -> bool:
            with pytest.raises(TryLater, match="too long"):
                WebhookChannel(allows_local=True, longest_s=0.2).send(MESSAGE, target=receiver.url)
            return bool(receiver.requests)

        eventually(cut_off)  # the time may be over before anything is sent

    def test_that_never_come_are_a_closed_door(self) -> None:
        with pytest.raises(TryLater):
            LOCAL.send(MESSAGE, target="http://127.0.0.1:1/")


PRIVATE = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:db8::1",
)  # fmt: skip


class TestWalls:
    @pytest.mark.parametrize("address", PRIVATE)
    def test_know_our_own_network(self, address: str) -> None:
        assert not is_public(ipaddress.ip_address(address))

    @pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
    def test_know_the_internet(self, address: str) -> None:
        assert is_public(ipaddress.ip_address(address))

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"]
    )  # fmt: skip
    def test_stand_however_the_address_is_written(self, receiver: Receiver, host: str) -> None:
        port = receiver.url.rpartition(":")[2]
        with pytest.raises((BadTarget, TryLater)):
            WebhookChannel().send(MESSAGE, target=f"https://{host}:{port}")
        assert not receiver.requests

    def test_refuse_a_name_that_leads_inside(self) -> None:
        with pytest.raises(BadTarget, match="private"):
            resolve("localhost", 443, allows_local=False)

    def test_want_tls_outside_development(self) -> None:
        with pytest.raises(BadTarget, match="https"):
            WebhookChannel().check("http://hooks.example.com/")
        WebhookChannel().check("https://hooks.example.com/")

    def test_do_not_know_an_unknown_name_for_good(self) -> None:
        with pytest.raises(TryLater):
            resolve("no-such-host.invalid", 443, allows_local=False)
