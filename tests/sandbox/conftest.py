"""One sandbox per test session, as it was at its start for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.testing import SandboxServer
from tests.sandbox.vendor import Vendor


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> Iterator[SandboxServer]:
    server.control.reset()
    yield server
    server.control.reset()


@pytest.fixture
def vendor(sandbox: SandboxServer) -> Iterator[Vendor]:
    with Vendor(sandbox) as client:
        yield client
