"""The token is a canary: it must not show in any text, log, repr, or anything that hangs on an exception."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import pytest

from tests import ports
from tests.vms.providers.literal import LiteralServer
from tests.vms.providers.specs import spec
from tests.vms.providers.wire import DETAIL, ID, OFFER, QUICK, TOKEN, VERBS
from vms.providers.base import (
    BadCredentials,
    ProviderError,
    Unavailable,
)
from vms.providers.tensordock import TensorDockProvider


@pytest.fixture
def provider(literal_provider: TensorDockProvider) -> TensorDockProvider:
    return literal_provider


class TestSecrets:
    """The token is a canary: it must not show in any text, log, repr, or anything that hangs on an exception."""

    ECHOES = [
        (401, {"error": f"Invalid token {TOKEN}"}),
        (400, {"error": f"Bearer {TOKEN} cannot do that"}),
        (400, [{"message": f"got {TOKEN}", "path": ["token"]}]),
        (429, {"error": TOKEN}),
        (500, {"error": TOKEN}),
        (200, {"status": 400, "error": TOKEN}),
        (200, {"data": {"error": TOKEN}}),
        (302, TOKEN.encode()),
        (200, f"<html>{TOKEN}</html>".encode()),
        (200, f"not json {TOKEN}".encode()),
    ]

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize(("status", "body"), ECHOES)
    def test_do_not_show_when_the_vendor_echoes_them(
        self,
        server: LiteralServer,
        provider: TensorDockProvider,
        caplog: pytest.LogCaptureFixture,
        verb: str,
        status: int,
        body: Any,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.answer(body, status, headers={"Location": f"/{TOKEN}"})
        with pytest.raises(ProviderError) as raised:
            VERBS[verb](provider)
        assert_hidden(raised.value, caplog)

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "snow☃man", "trailing "])
    def test_that_cannot_be_sent_are_bad_credentials(
        self, server: LiteralServer, caplog: pytest.LogCaptureFixture, verb: str, token: str
    ) -> None:
        with pytest.raises(BadCredentials) as raised:
            VERBS[verb](TensorDockProvider(token, server.base_url))
        assert not token or token not in str(raised.value)
        assert server.seen == []

    @pytest.mark.parametrize("verb", VERBS)
    def test_do_not_hang_on_the_errors_of_a_lost_connection(
        self, caplog: pytest.LogCaptureFixture, verb: str
    ) -> None:
        caplog.set_level(logging.DEBUG)
        provider = TensorDockProvider(TOKEN, f"http://127.0.0.1:{ports.closed()}", timeouts=QUICK)
        with pytest.raises(ProviderError) as raised:
            VERBS[verb](provider)
        assert_hidden(raised.value, caplog)

    def test_do_not_show_in_a_repr(self, provider: TensorDockProvider) -> None:
        assert TOKEN not in repr(provider) + repr(provider._client)

    def test_are_masked_in_the_vendors_own_words(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        private = spec(OFFER).ssh_host_key
        extras = {"ssh_key": "ssh-ed25519 A", "cloud_init": {"x": private}, "note": f"{private} {TOKEN}"}
        server.answer({**DETAIL, **extras})
        raw = json.dumps(dict(provider.get(ID).raw))
        assert "PRIVATE" not in raw
        assert TOKEN not in raw
        assert json.loads(raw)["resources"]["vcpu_count"] == 8

    def test_are_not_sent_after_a_redirect(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        with LiteralServer() as elsewhere:
            server.answer(b"", 307, headers={"Location": elsewhere.base_url})
            for verb in VERBS.values():
                with pytest.raises(Unavailable):
                    verb(provider)
            assert elsewhere.seen == []

    def test_do_not_give_way_to_a_netrc(
        self, server: LiteralServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("default login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        server.answer({"data": []})
        TensorDockProvider(TOKEN, server.base_url).list()
        assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"

    def test_stay_off_a_proxy_when_the_cloud_is_on_this_machine(
        self, server: LiteralServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        server.answer({"data": []})
        assert list(TensorDockProvider("another-token", server.base_url).list()) == []


def assert_hidden(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    shown = ["".join(traceback.format_exception(error)), caplog.text]
    pending: list[BaseException | None] = [error]
    while pending:
        if (each := pending.pop()) is not None:
            shown += [repr(each), repr(each.args), repr(vars(each))]
            assert not hasattr(each, "request")
            pending += [each.__cause__, each.__context__]
    assert not [text for text in shown if TOKEN in text]
