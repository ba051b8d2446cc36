"""One sandbox per session with a token that must never be seen; as it was at its start for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox.testing import SandboxServer
from tests.vms.providers import wire
from tests.vms.providers.literal import LiteralServer
from vms.providers.tensordock import TensorDockProvider

TOKEN = "td-canary-5f1b7c2e9a"

# The vendor's own tool is asked where there is one.
collect_ignore = [] if os.environ.get("CLOUDYPAD_BIN") else ["test_cloudypad_real.py"]


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with SandboxServer(token=TOKEN, seed="providers") as running:
        yield running


@pytest.fixture
def sandbox(sandbox_server: SandboxServer) -> Iterator[SandboxServer]:
    sandbox_server.control.reset()
    # No guest ever boots: the seam ends where SSH begins.
    sandbox_server.control.settings(rate_limit=False, ssh_s=1e9)
    yield sandbox_server
    sandbox_server.control.reset()


@pytest.fixture(scope="session")
def literal_server() -> Iterator[LiteralServer]:
    with LiteralServer() as running:
        yield running


@pytest.fixture
def server(literal_server: LiteralServer) -> Iterator[LiteralServer]:
    yield literal_server
    literal_server.forget()


@pytest.fixture
def literal_provider(server: LiteralServer) -> TensorDockProvider:
    return TensorDockProvider(wire.TOKEN, server.base_url, timeouts=wire.QUICK)
