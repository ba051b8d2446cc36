"""The control plane on the sandbox cloud: real HTTP, real SSH guests, and one clock moved for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from emulators.services import seed
from sandbox.testing import Control, SandboxServer
from tests.vms.control_plane import ControlPlane
from tests.waiting import eventually
from tests.world import Clock
from vms import installation
from vms.models import VM, ProviderAccount
from vms.providers.base import Provider
from vms.providers.tensordock import TensorDockProvider
from vms.providers.tensordock.client import Timeouts

TOKEN = "journeys-token"
QUICK = Timeouts(read=10, create=20, act=2, backoff=0.01)
# Where a create shall never answer: it is given up after a second, instead of two minutes. On a busy machine a refusal may be as late.
HASTY = replace(QUICK, create=1.5)


@dataclass
class SandboxPlane(ControlPlane):
    """A control plane whose provider is the sandbox; `control` steers the cloud."""

    server: SandboxServer | None = None
    timeouts: Timeouts = QUICK
    may_skip = False

    @property
    def control(self) -> Control:
        assert self.server is not None
        return self.server.control

    def open(self, account: ProviderAccount) -> Provider:  # type: ignore[override]
        return TensorDockProvider(account.credentials["token"], account.base_url, timeouts=self.timeouts)

    def turn(self, seconds: float = 1.0) -> int:
        happened = super().turn(seconds)
        self.control.advance(seconds)
        return happened

    def play(self, vm: VM) -> VM:
        """Turns until the game has begun, which takes its machine some seconds of real time, on a busy one more."""
        eventually(
            lambda: self.turn() is not None and vm.sessions.filter(status="launched").exists(), timeout_s=60
        )
        return vm

    def alive_tags(self) -> set[str]:
        return {machine["name"] for machine in self.control.alive()}


@pytest.fixture(scope="session")
def sandbox_cloud() -> Iterator[SandboxServer]:
    with SandboxServer(token=TOKEN, seed="journeys") as running:
        yield running


@pytest.fixture
def city(db: None, clock: Clock, sandbox_cloud: SandboxServer) -> Iterator[SandboxPlane]:
    """Offers known, nothing running; checks afterwards that no machine was left behind."""
    sandbox_cloud.control.reset()
    sandbox_cloud.control.settings(rate_limit=False)
    seed(now=clock())
    installation.row()
    plane = SandboxPlane(clock, server=sandbox_cloud)
    ProviderAccount.objects.create(
        name="sandbox",
        kind="tensordock",
        base_url=sandbox_cloud.base_url,
        credentials={"token": TOKEN},
        calls_per_minute=100_000,
        call_tokens=100_000,
        call_tokens_at=clock(),
        next_refresh_at=clock(),
        next_sweep_at=clock(),
    )
    plane.turn()
    plane.turn()
    yield plane
    sandbox_cloud.control.reset()
