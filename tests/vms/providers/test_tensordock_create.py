"""What TensorDock's answers to a create mean: bodies of the facts, sent literally."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import ports
from tests.vms.providers.literal import LiteralServer
from tests.vms.providers.specs import spec, tag
from tests.vms.providers.wire import HTML, ID, OFFER, QUICK, TOKEN
from vms.providers.base import (
    BadCredentials,
    MachineState,
    NoCapacity,
    OutcomeUnknown,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Unavailable,
)
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Timeouts


@pytest.fixture
def provider(literal_provider: TensorDockProvider) -> TensorDockProvider:
    return literal_provider


class TestCreate:
    @pytest.mark.parametrize(
        ("status", "body", "error", "words"),
        [
            (200, {"status": 400, "error": "No available nodes found"}, NoCapacity, "No available nodes"),
            (200, {"status": 400, "error": "No available public IPs on hostnode"}, NoCapacity, "public IP"),
            (200, {"status": 400, "message": "Out of stock"}, NoCapacity, "Out of stock"),
            (200, {"data": {"error": "insufficient capacity"}}, NoCapacity, "capacity"),
            (200, {"error": "The GPU is currently unavailable"}, NoCapacity, "unavailable"),
            (400, {"error": "No available nodes found"}, NoCapacity, "No available nodes"),
            (409, {"error": {"message": "no capacity left"}}, NoCapacity, "no capacity"),
            (200, {"status": 500, "error": "No available nodes found"}, NoCapacity, "No available nodes"),
            (200, {"status": 400, "error": "You need at least $1.00 to deploy"}, QuotaExceeded, "at least"),
            (400, {"error": "Insufficient funds"}, QuotaExceeded, "funds"),
            (402, {"error": "Payment required"}, QuotaExceeded, "Payment"),
            (401, {"error": "Unauthorized"}, BadCredentials, "Unauthorized"),
            (403, {"error": "Forbidden"}, BadCredentials, "Forbidden"),
            (200, {"status": 401, "error": "Invalid token"}, BadCredentials, "Invalid token"),
            (
                400,
                [{"code": "invalid_type", "message": "Required", "path": ["data", "attributes", "image"]}],
                Rejected,
                "image: Required",
            ),
            (
                200,
                [{"code": "custom", "message": "must be even", "path": ["resources", "vcpu_count"]}],
                Rejected,
                "vcpu_count: must be even",
            ),
            (400, [{"message": "odd", "path": [["x"], 7, None]}], Rejected, "odd"),
            (400, b'{"error":' * 300 + b'"deep"' + b"}" * 300, Rejected, "400"),
            (400, {"error": "SSH port (22) must be forwarded for Ubuntu VMs"}, Rejected, "must be forwarded"),
            (404, {"error": "Location not found"}, Rejected, "Location not found"),
            (422, {}, Rejected, "422"),
            (413, HTML, Rejected, "413"),
            (429, {"error": "Too many requests"}, Unavailable, "429"),
            (200, {"status": 429, "error": "No available slots, slow down"}, Unavailable, "429"),
            (403, HTML, Rejected, "403"),
            (302, b"", Unavailable, "302"),
            (500, HTML, OutcomeUnknown, "500"),
            (500, {"error": "capacity check failed"}, OutcomeUnknown, "500"),
            (503, {"error": "Service unavailable"}, OutcomeUnknown, "503"),
            (200, {"status": 500, "error": "Internal error"}, OutcomeUnknown, "Internal error"),
            (408, {"error": "Request timeout"}, OutcomeUnknown, "408"),
            (200, HTML, OutcomeUnknown, "HTML"),
            (200, b'{"data": {"id": ', OutcomeUnknown, "not JSON"),
            (200, b"", OutcomeUnknown, "without an id"),
            (200, {"data": {"type": "virtualmachine", "id": ""}}, OutcomeUnknown, "without an id"),
            (200, {"data": {"type": "virtualmachine", "id": 7}}, OutcomeUnknown, "without an id"),
            (200, {"data": None}, OutcomeUnknown, "without an id"),
        ],
    )
    def test_that_fails_names_the_next_move(
        self,
        server: LiteralServer,
        provider: TensorDockProvider,
        status: int,
        body: Any,
        error: type[ProviderError],
        words: str,
    ) -> None:
        server.answer(body, status)
        with pytest.raises(ProviderError) as raised:
            provider.create(spec(OFFER), tag())
        assert type(raised.value) is error, raised.value
        assert words in str(raised.value)
        assert len(server.seen) == 1

    @pytest.mark.parametrize(
        "body",
        [
            {"data": {"type": "virtualmachine", "id": ID, "name": tag(), "status": "running"}},
            {"data": {"type": "virtualmachine", "id": ID, "attributes": {"name": tag(), "status": "queued"}}},
            {"type": "virtualmachine", "id": ID, "name": tag(), "status": "creating", "error": None},
        ],
    )
    def test_that_works_gives_the_id_and_believes_no_status(
        self, server: LiteralServer, provider: TensorDockProvider, body: Any
    ) -> None:
        server.answer(body, 201)
        machine = provider.create(spec(OFFER), tag())
        assert (machine.machine_id, machine.tag, machine.state) == (ID, tag(), MachineState.PENDING)

    def test_sends_the_documented_envelope_and_the_token(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        server.answer({"data": {"id": ID}})
        provider.create(spec(OFFER), tag())
        (seen,) = server.seen
        assert (seen.method, seen.path) == ("POST", "/instances")
        assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
        assert seen.headers["Content-Type"] == "application/json"
        assert set(seen.body) == {"data"}
        assert seen.body["data"]["type"] == seen.body["data"]["attributes"]["type"] == "virtualmachine"

    def test_whose_answer_breaks_off_has_an_unknown_outcome(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        server.answer({"data": {"id": ID}}, cut=True)
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(OFFER), tag())

    def test_takes_a_new_connection(self, server: LiteralServer, provider: TensorDockProvider) -> None:
        server.answer({"data": [{"id": ID}]})
        provider.list()
        provider.list()
        assert len(server.connections) == 1
        server.answer({"data": {"id": ID}})
        provider.create(spec(OFFER), tag())
        assert len(server.connections) == 2


class TestUnsent:
    """A create of which the vendor surely never heard may be tried again."""

    def test_by_a_refused_connection(self) -> None:
        address = f"http://127.0.0.1:{ports.closed()}/api/v2"
        provider = TensorDockProvider(TOKEN, address, timeouts=QUICK)
        with pytest.raises(Unavailable):
            provider.create(spec(OFFER), tag())

    def test_by_an_unknown_name(self) -> None:
        provider = TensorDockProvider(TOKEN, "http://nowhere.invalid/api/v2", timeouts=QUICK)
        with pytest.raises(Unavailable):
            provider.create(spec(OFFER), tag())

    def test_by_a_connection_that_is_never_taken(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            # The queue of a listener that accepts nobody takes a few; the next ones wait in vain.
            fillers = [_connecting(address) for _ in range(4)]
            provider = TensorDockProvider(
                TOKEN, f"http://127.0.0.1:{address[1]}/api/v2", timeouts=Timeouts(connect=0.2)
            )
            with pytest.raises(Unavailable, match="ConnectTimeout"):
                provider.create(spec(OFFER), tag())
            for filler in fillers:
                filler.close()

    def test_is_not_said_of_a_handshake_that_broke(self, server: LiteralServer) -> None:
        address = server.base_url.replace("http://", "https://")
        with pytest.raises(OutcomeUnknown):
            TensorDockProvider(TOKEN, address, timeouts=QUICK).create(spec(OFFER), tag())


def _connecting(address: tuple[str, int]) -> socket.socket:
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(address)
    return filler


class TestCertificates:
    def test_that_are_not_trusted_mean_that_nothing_was_sent(self, tmp_path: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self_signed(tmp_path))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = threading.Thread(target=_shake_hands, args=(context, listener))
            server.start()
            address = f"https://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(Unavailable, match="SSLError"):
                TensorDockProvider(TOKEN, address).create(spec(OFFER), tag())
            server.join()


def _shake_hands(context: ssl.SSLContext, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection, server_side=True)


def self_signed(folder: Any) -> tuple[str, str]:
    """(certificate file, key file) for nobody in particular."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(certificate), str(private)
