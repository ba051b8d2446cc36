"""Five providers broken in different ways, over real HTTP and real processes; the sixth works, and the launch arrives there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest

from emulators.services import seed
from sandbox.testing import SandboxServer
from tests.journeys.conftest import HASTY, QUICK, TOKEN
from tests.vms.control_plane import ControlPlane, story
from tests.vms.providers.cloudypad_vendor import VERBS, StandInHarness
from tests.world import Clock
from vms import installation
from vms.models import VM, Attempt, ProviderAccount
from vms.providers.base import Provider
from vms.providers.tensordock import TensorDockProvider

FOR_EVER = 1e9
# By account, in the order they are asked: the fault of a sandbox of its own.
SANDBOXES = {
    "bad credentials": ("401", {}),
    "quota": ("balance_low", {}),
    "no capacity": ("stale_offer", {}),
    "time-out": ("create_lands_late", {"args": {"after_s": FOR_EVER, "hold_s": 3}}),
}
GARBAGE, WORKING = "cloudypad_gcp", "cloudypad_aws"


@dataclass
class ManyClouds(ControlPlane):
    """Sandboxes by HTTP, then clouds by a command line; their times pass with ours."""

    sandboxes: dict[str, SandboxServer] = field(default_factory=dict)
    pads: dict[str, StandInHarness] = field(default_factory=dict)
    may_skip = False

    def open(self, account: ProviderAccount) -> Provider:  # type: ignore[override]
        if account.kind in self.pads:
            return self.pads[account.kind].open(kind=account.kind)
        timeouts = HASTY if account.name == "time-out" else QUICK
        return TensorDockProvider(TOKEN, account.base_url, timeouts=timeouts)

    def turn(self, seconds: float = 5.0) -> int:
        happened = super().turn(seconds)
        for server in self.sandboxes.values():
            server.control.advance(seconds)
        for pad in self.pads.values():
            pad.advance(seconds)
        return happened

    def alive(self) -> list[str]:
        """Every machine of every vendor."""
        machines = [one["name"] for server in self.sandboxes.values() for one in server.control.alive()]
        return machines + [tag for pad in self.pads.values() for tag in pad.alive()]


@pytest.fixture
def plane(db: None, clock: Clock, tmp_path: Path) -> Iterator[ManyClouds]:
    """Their offers are known; then everything but the last in line breaks."""
    seed(now=clock())
    installation.row()
    plane = ManyClouds(clock)
    with ExitStack() as stack:
        for name in SANDBOXES:
            plane.sandboxes[name] = stack.enter_context(SandboxServer(token=TOKEN, seed="failover"))
            plane.sandboxes[name].control.settings(rate_limit=False)
            _add(clock, name, "tensordock", base_url=plane.sandboxes[name].base_url)
        for kind in (GARBAGE, WORKING):
            (tmp_path / kind).mkdir()
            plane.pads[kind] = StandInHarness(tmp_path / kind)
            stack.callback(plane.pads[kind].finish)
            _add(clock, kind, kind)
        plane.turn()
        plane.turn()
        for name, (fault, particulars) in SANDBOXES.items():
            plane.sandboxes[name].control.fault(fault, **particulars)
        plane.pads[GARBAGE].fault("broken", VERBS, None)
        yield plane


def _add(clock: Clock, name: str, kind: str, **columns: str) -> None:
    now = {"next_refresh_at": clock(), "next_sweep_at": clock(), "call_tokens_at": clock()}
    ProviderAccount.objects.create(
        name=name, kind=kind, calls_per_minute=1_000_000, call_tokens=1_000_000, **now, **columns
    )


def told(vm: VM) -> list[tuple[str, str]]:
    return [(one.account.name, one.error_class) for one in Attempt.objects.filter(vm=vm).order_by("number")]


class TestFailover:
    def test_arrives_at_the_last_in_line_whatever_is_wrong_with_the_others(self, plane: ManyClouds) -> None:
        vm = plane.until(plane.launch(), "running", seconds=1200, step=5)
        orders = told(vm)
        assert dict(orders) == {
            "bad credentials": "BadCredentials",
            "quota": "QuotaExceeded",
            "no capacity": "NoCapacity",
            "time-out": "OutcomeUnknown",
            GARBAGE: "OutcomeUnknown",
            WORKING: "",
        }, story(vm)
        assert [name for name, _ in groupby(orders, key=lambda one: one[0])][-2:] == [
            (GARBAGE),
            (WORKING),
        ]
        # Sold out thrice, and silent once, is enough for the next in line to be asked.
        assert len(orders) == 8
        assert all(one.error_text for one in Attempt.objects.filter(vm=vm).exclude(error_class=""))
        assert plane.alive() == [vm.attempt.tag]
