"""What TensorDock says of machines, sent literally: the facts' shapes, and what no stand-in would send."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.vms.providers.literal import LiteralServer
from tests.vms.providers.specs import tag
from tests.vms.providers.wire import DETAIL, HTML, ID, QUICK, TOKEN
from tests.waiting import eventually
from vms.providers.base import (
    BadCredentials,
    MachineState,
    NotFound,
    ProviderError,
    Unavailable,
)
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Client, Timeouts
from vms.providers.tensordock.transport import BODY_LIMIT_BYTES


@pytest.fixture
def provider(literal_provider: TensorDockProvider) -> TensorDockProvider:
    return literal_provider


class TestGet:
    def read(self, server: LiteralServer, provider: TensorDockProvider, **changes: Any) -> Any:
        server.answer({**DETAIL, **changes})
        return provider.get(ID)

    @pytest.mark.parametrize("wrap", [lambda row: row, lambda row: {"data": row}])
    def test_reads_a_machine_bare_or_wrapped(
        self, server: LiteralServer, provider: TensorDockProvider, wrap: Callable[[Any], Any]
    ) -> None:
        server.answer(wrap(DETAIL))
        machine = provider.get(ID)
        assert (machine.machine_id, machine.tag, machine.state) == (ID, tag(), MachineState.RUNNING)
        assert (machine.ip, machine.ssh_port, machine.ssh_user) == ("198.51.100.7", 20456, "user")
        assert str(machine.usd_per_hour) == "0.4415"

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("running", MachineState.RUNNING),
            ("Running", MachineState.RUNNING),
            ("online", MachineState.RUNNING),
            ("active", MachineState.RUNNING),
            ("starting", MachineState.PENDING),
            ("creating", MachineState.PENDING),
            ("pending", MachineState.PENDING),
            ("provisioning", MachineState.PENDING),
            ("queued", MachineState.PENDING),
            ("stopping", MachineState.STOPPING),
            ("deleting", MachineState.STOPPING),
            ("stopped", MachineState.STOPPED),
            ("StoppedDisassociated", MachineState.STOPPED),
            ("stopped_disassociated", MachineState.STOPPED),
            ("Stopped - Disassociated", MachineState.STOPPED),
            ("error", MachineState.UNKNOWN),
            ("rebalancing", MachineState.UNKNOWN),
            ("", MachineState.UNKNOWN),
            (None, MachineState.UNKNOWN),
            (7, MachineState.UNKNOWN),
        ],
    )
    def test_takes_an_unknown_status_for_a_transition(
        self, server: LiteralServer, provider: TensorDockProvider, status: Any, state: MachineState
    ) -> None:
        assert self.read(server, provider, status=status).state is state

    @pytest.mark.parametrize("status", ["deleted", "terminated", "Terminated"])
    def test_takes_a_machine_shown_as_deleted_for_gone(
        self, server: LiteralServer, provider: TensorDockProvider, status: str
    ) -> None:
        with pytest.raises(NotFound):
            self.read(server, provider, status=status)
        server.answer({"data": [{**DETAIL, "status": status}]})
        assert list(provider.list()) == []

    @pytest.mark.parametrize("address", ["", None, "0.0.0.0", "pending", 7, "::"])
    def test_knows_no_address_yet(
        self, server: LiteralServer, provider: TensorDockProvider, address: Any
    ) -> None:
        assert self.read(server, provider, ipAddress=address).ip == ""

    @pytest.mark.parametrize(
        "forwards",
        [[], None, {}, [{"internal_port": 80, "external_port": 81}], [{"internal_port": 22}], ["22"], "22"],
    )
    def test_reaches_ssh_on_22_without_a_forward(
        self, server: LiteralServer, provider: TensorDockProvider, forwards: Any
    ) -> None:
        assert self.read(server, provider, portForwards=forwards).ssh_port == 22

    def test_reads_ports_that_are_texts(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        forwards = [{"internal_port": "22", "external_port": "30117"}]
        assert self.read(server, provider, portForwards=forwards).ssh_port == 30117

    @pytest.mark.parametrize(
        ("rate", "expected"),
        [("0.44", Decimal("0.44")), (1, Decimal(1)), (None, None), ("free", None), (-1, None), (True, None)],
    )
    def test_reads_a_price_or_none(
        self, server: LiteralServer, provider: TensorDockProvider, rate: Any, expected: Decimal | None
    ) -> None:
        assert self.read(server, provider, rateHourly=rate).usd_per_hour == expected

    @pytest.mark.parametrize(
        "name", ["", None, "my desktop", "gamer-short-1", f" {tag()}", f"{tag()}x", f"{tag()}\n"]
    )
    def test_takes_only_a_whole_tag_for_ours(
        self, server: LiteralServer, provider: TensorDockProvider, name: Any
    ) -> None:
        assert self.read(server, provider, name=name).tag == ""

    def test_shows_a_machine_with_an_error_of_its_own(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        assert self.read(server, provider, status="error", error="boot failed").state is MachineState.UNKNOWN

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (404, {"error": "Virtual machine not found"}, NotFound),
            (404, b"", NotFound),
            (200, {"status": 404, "error": "not found"}, NotFound),
            # Said by a gateway, that proves nothing about the machine.
            (404, HTML, Unavailable),
            (403, HTML, Unavailable),
            (401, HTML, BadCredentials),
            (400, {"error": "capacity"}, Unavailable),
            (200, HTML, Unavailable),
            (200, b"null", Unavailable),
            (200, {"id": ""}, Unavailable),
            (200, b"[" * 100_000, Unavailable),
            (200, b'{"id": "x", "rateHourly": NaN}', Unavailable),
            (200, b'{"id": "x", "rateHourly": ' + b"9" * 5000 + b"}", Unavailable),
            (200, b"\xff\xfe\x00", Unavailable),
            (301, b"", Unavailable),
        ],
    )
    def test_that_fails_names_the_next_move(
        self,
        server: LiteralServer,
        provider: TensorDockProvider,
        status: int,
        body: Any,
        error: type[ProviderError],
    ) -> None:
        server.answer(body, status)
        with pytest.raises(ProviderError) as raised:
            provider.get(ID)
        assert type(raised.value) is error, raised.value

    def test_escapes_the_id(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        server.answer(DETAIL)
        provider.get("../secrets?x=1")
        assert server.seen[0].path == "/instances/..%2Fsecrets%3Fx%3D1"

    @pytest.mark.parametrize("verb", ["get", "delete", "stop", "start"])
    def test_is_never_about_no_machine(
        self, server: LiteralServer, provider: TensorDockProvider, verb: str
    ) -> None:
        with pytest.raises(ValueError, match="machine id"):
            getattr(provider, verb)("")
        assert server.seen == []


class TestList:
    ROWS = [
        {
            "type": "virtualmachine",
            "id": "a",
            "name": tag(1),
            "status": "running",
            "ipAddress": "198.51.100.1",
        },
        {"type": "virtualmachine", "id": "b", "attributes": {"name": tag(2), "status": "stopped"}},
    ]

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda rows: {"data": rows},
            lambda rows: {"data": {"instances": rows}},
            lambda rows: {"data": {"attributes": {"instances": rows}}},
            lambda rows: {"instances": rows},
            lambda rows: rows,
        ],
    )
    def test_is_read_in_every_shape(
        self, server: LiteralServer, provider: TensorDockProvider, wrap: Callable[[Any], Any]
    ) -> None:
        server.answer(wrap(self.ROWS))
        one, other = provider.list()
        assert (one.machine_id, one.tag, one.state, one.ip) == (
            "a",
            tag(1),
            MachineState.RUNNING,
            "198.51.100.1",
        )
        assert (other.machine_id, other.tag, other.state) == ("b", tag(2), MachineState.STOPPED)
        server.answer(wrap([]))
        assert list(provider.list()) == []

    @pytest.mark.parametrize(
        "body",
        [
            {"data": None},
            {"data": {}},
            {"data": {"instances": None}},
            {"data": {"instances": {}}},
            {"data": "none"},
            {},
            None,
            "instances",
            {"data": [{"name": "no id"}]},
            {"data": [{"id": "a"}, None]},
            {"data": [{"id": "a"}], "links": {"next": "/instances?page=2"}},
            {"data": {"instances": [{"id": "a"}], "meta": {"next": 2}}},
            {"status": 500, "error": "database"},
            {"error": "try again"},
            [{"code": "x", "message": "y", "path": []}],
            b"",
            HTML,
        ],
    )
    def test_that_may_not_be_whole_raises(
        self, server: LiteralServer, provider: TensorDockProvider, body: Any
    ) -> None:
        server.answer(body)
        with pytest.raises(Unavailable):
            provider.list()

    def test_that_breaks_off_raises(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        server.answer({"data": []}, cut=True)
        with pytest.raises(Unavailable):
            provider.list()

    def test_at_a_path_that_is_not_there_is_unavailable(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        server.answer({"error": "no such route"}, 404)
        with pytest.raises(Unavailable, match="no such route"):
            provider.list()

    def test_of_thousands_is_read(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        server.answer({"data": [{"id": f"vm-{n}", "name": tag(n), "status": "running"} for n in range(5000)]})
        assert len({machine.tag for machine in provider.list()}) == 5000

    def test_may_be_packed_or_chunked(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        body = json.dumps({"data": self.ROWS}).encode()
        server.answer(gzip.compress(body), headers={"Content-Encoding": "gzip"})
        assert len(provider.list()) == 2
        chunked = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
        server.answer(chunked, headers={"Transfer-Encoding": "chunked"})
        assert len(provider.list()) == 2


class TestBounds:
    @pytest.mark.parametrize("packed", [False, True])
    def test_refuse_a_body_over_10_mb(
        self, server: LiteralServer, provider: TensorDockProvider, packed: bool
    ) -> None:
        body = b'{"data": []}' + b" " * BODY_LIMIT_BYTES
        if packed:
            server.answer(gzip.compress(body), headers={"Content-Encoding": "gzip"})
        else:
            server.answer(body)
        with pytest.raises(Unavailable, match="bytes"):
            provider.list()

    def test_end_an_answer_that_drips(self, server: LiteralServer) -> None:
        provider = TensorDockProvider(TOKEN, server.base_url, timeouts=Timeouts(attempt=0.1, read=0.2))
        server.answer(b'{"data": []}', drip_s=0.01)

        def told() -> bool:
            with pytest.raises(Unavailable) as raised:
                provider.list()
            return "in time" in str(raised.value)

        eventually(told)  # its first byte may not come in time

    def test_hold_for_all_tries_of_a_read_together(self, server: LiteralServer) -> None:
        provider = TensorDockProvider(TOKEN, server.base_url, timeouts=Timeouts(read=0.4, backoff=0.3))
        server.answer(HTML, 502)
        with pytest.raises(Unavailable):
            provider.list()
        assert len(server.seen) <= 2  # the third would be past the bound, however long the first one takes

    def test_share_one_pool_between_threads(self, server: LiteralServer) -> None:
        server.answer({"data": []})
        gate = threading.Barrier(8)

        def listed(_: int) -> None:
            gate.wait()
            provider = TensorDockProvider(TOKEN, server.base_url, timeouts=QUICK)
            for _ in range(10):
                provider.list()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(listed, range(8)))
        assert len(server.seen) == 80
        assert len(server.connections) <= 8

    @pytest.mark.parametrize(
        "address",
        ["", "dashboard.tensordock.com", "ftp://host/", "http://user:pw@host/", "http:///x", "http://h/?q=1"],
    )
    def test_refuse_an_impossible_address(self, address: str) -> None:
        with pytest.raises(ValueError, match="base URL"):
            Client(TOKEN, address)
