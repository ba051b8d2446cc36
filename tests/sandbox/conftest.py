"""One sandbox per test session and way of walling guests in, as it was at its start for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.testing import SandboxServer
from tests.sandbox.machines import Machine
from tests.sandbox.vendor import Vendor

# The machine's best walls, and those that need nothing of it.
WALLS: dict[str, dict[str, str]] = {"best": {}, "confined": {"GAMER_SANDBOX_NO_UNSHARE": "1"}}
NEVER_S = 1e9


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> Iterator[SandboxServer]:
    """Its machines never boot: these tests are about the vendor's answers."""
    server.control.reset()
    server.control.settings(ssh_s=NEVER_S)
    yield server
    server.control.reset()


@pytest.fixture
def vendor(sandbox: SandboxServer) -> Iterator[Vendor]:
    with Vendor(sandbox) as client:
        yield client


@pytest.fixture(scope="session", params=WALLS)
def guest_server(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    with SandboxServer(environ=WALLS[request.param]) as running:
        running.control.settings(rate_limit=False)
        yield running


@pytest.fixture(scope="session")
def shared(guest_server: SandboxServer) -> Iterator[Machine]:
    """One booted machine for all tests that leave it as it was, or do not mind what others did."""
    with Vendor(guest_server) as client:
        made = Machine.create(client, name="shared")
        yield made
        made.close()


@pytest.fixture
def guests(guest_server: SandboxServer) -> Iterator[Vendor]:
    """Machines that boot; those of the test are gone after it."""
    control = guest_server.control
    before, others = control.settings(), {each["id"] for each in control.alive()}
    with Vendor(guest_server) as client:
        yield client
    control.clear_faults()
    control.settings(**{name: before[name] for name in ("ip_s", "ssh_s", "cloud_init_s", "ssh_port")})
    for each in control.alive():
        if each["id"] not in others:
            control.vanish(each["id"])


@pytest.fixture
def machine(guests: Vendor) -> Iterator[Machine]:
    made = Machine.create(guests)
    yield made
    made.close()
