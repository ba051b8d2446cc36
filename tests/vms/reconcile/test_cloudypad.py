"""Launches by way of CloudyPad: the loop's clock is simulated, the tool's processes are real (its stand-in's)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from accounts.principal import Principal
from billing.models import Subject
from emulators.services import seed
from locations import regions
from tests.vms.control_plane import ControlPlane, story
from tests.vms.providers.cloudypad_vendor import StandInHarness
from tests.world import Clock, World
from vms import discovery, installation, machine_types, provider_accounts, services
from vms.models import VM, Attempt, MachineType, ProviderAccount
from vms.providers.base import Provider

STEP_S = 15


class PadPlane(ControlPlane):
    """One account at Google's cloud, by way of the stand-in; its vendor's time passes with ours."""

    harness: StandInHarness
    may_skip = False

    def open(self, account: ProviderAccount) -> Provider:  # type: ignore[override]
        has_machines = provider_accounts.holds_machines(account)
        self.harness.account = replace(self.harness.account, has_machines=has_machines)
        return self.harness.open()

    def turn(self, seconds: float = STEP_S) -> int:
        done = super().turn(seconds)
        self.harness.advance(seconds)
        return done


@pytest.fixture
def pads(world: World, clock: Clock, tmp_path: Path) -> Iterator[PadPlane]:
    seed(now=clock())
    installation.row()
    plane = PadPlane(clock)
    plane.harness = StandInHarness(tmp_path)
    ProviderAccount.objects.create(
        name="gcp", kind="cloudypad_gcp", calls_per_minute=1_000_000, call_tokens=1_000_000,
        next_refresh_at=clock(), next_sweep_at=clock(), call_tokens_at=clock(),
    )  # fmt: skip
    yield plane
    plane.harness.finish()


def until(plane: PadPlane, vm: VM, status: str) -> VM:
    return plane.until(vm, status, seconds=3600, step=STEP_S)


class TestLaunch:
    def test_lives_a_whole_life(self, pads: PadPlane, world: World, clock: Clock) -> None:
        vm = until(pads, pads.launch(owner=world.alice), "running")
        assert (vm.cloudypad_configured, vm.gaming_environment_ready, vm.ip_address) == (
            True,
            True,
            "203.0.113.7",
        )
        assert vm.machine_raw["open_to_everybody"]
        assert vm.attempt.account.kind == "cloudypad_gcp"
        by = Principal(user=world.alice)
        services.stop(vm=vm, by=by, now=clock())
        until(pads, vm, "stopped")
        services.start(vm=vm, by=by, now=clock())
        until(pads, vm, "running")
        services.destroy(vm=vm, by=by, now=clock())
        until(pads, vm, "terminated")
        assert pads.harness.alive() == []
        assert len(pads.harness.calls("create")) == 1

    def test_is_creating_for_longer_than_other_kinds_may(self, pads: PadPlane, world: World) -> None:
        pads.harness.fault("never_runs", ["create"])
        vm = pads.launch(owner=world.alice)
        pads.settle(seconds=1500, step=30)
        vm.refresh_from_db()
        assert (vm.phase, vm.status) == ("creating", "creating")
        assert vm.machine_raw["last_run"]["verb"] == "create"
        pads.settle(seconds=1200, step=30)
        overdue, other = Attempt.objects.filter(vm=vm).order_by("number")
        assert (overdue.error_class, other.error_class) == ("Overdue", "")
        assert overdue.offer_id != other.offer_id

    def test_that_is_refused_late_takes_the_next_offer(self, pads: PadPlane, world: World) -> None:
        pads.harness.fault("no_capacity_later", ["create"])
        vm = until(pads, pads.launch(owner=world.alice), "running")
        first, second = Attempt.objects.filter(vm=vm).order_by("number")
        assert (first.error_class, second.outcome) == ("NoCapacity", "won")
        assert "sufficient capacity" in first.error_text
        pads.settle(seconds=300, step=30)
        assert pads.harness.alive() == [second.tag]

    def test_that_is_refused_at_once_takes_the_next_offer(self, pads: PadPlane, world: World) -> None:
        pads.harness.fault("no_capacity", ["create"])
        vm = until(pads, pads.launch(owner=world.alice), "running")
        first, second = Attempt.objects.filter(vm=vm).order_by("number")
        assert (first.error_class, second.outcome) == ("NoCapacity", "won")
        pads.settle(seconds=300, step=30)
        assert pads.harness.alive() == [second.tag]
        assert len(pads.harness.calls("destroy")) == 1


class TestAutostop:
    """The tool's own idle stop knows no saves, no warning and no timeout that was changed later."""

    def test_is_off_where_our_agent_judges(self, pads: PadPlane, world: World) -> None:
        pads.harness.account = replace(pads.harness.account, credentials={"project_id": "p"})
        pads.launch(owner=world.alice)
        while not (creates := pads.harness.calls("create")):
            pads.turn()
        assert "--autostop=no" in creates[0]
        assert "--autostop-timeout" not in creates[0]

    def test_is_left_to_the_tool_where_no_agent_gets_in(self, pads: PadPlane, world: World) -> None:
        vm = until(pads, pads.launch(owner=world.alice), "running")
        wanted = vm.machine_raw["configuration"]["input"]["autostop"]
        assert wanted == {"enable": True, "timeoutSeconds": vm.auto_stop_timeout}


class TestHome:
    def test_that_is_lost_takes_no_machine_with_it(
        self, pads: PadPlane, world: World, tmp_path: Path
    ) -> None:
        vm = until(pads, pads.launch(owner=world.alice), "running")
        home = pads.harness.home.folder
        home.rename(tmp_path / "elsewhere")
        pads.settle(seconds=600, step=60)
        vm.refresh_from_db()
        assert (vm.phase, vm.missing_since, vm.attempt.gone_at) == ("ready", None, None)
        assert str(pads.harness.home.marker) in ProviderAccount.objects.get().last_error
        (tmp_path / "elsewhere").rename(home)
        pads.settle(seconds=600, step=60)
        services.destroy(vm=vm, by=Principal(user=world.alice), now=pads.clock())
        until(pads, vm, "terminated")
        assert pads.harness.alive() == []


class TestPrice:
    """A cloud has no stock to ask: staff's price of a machine type is the quote."""

    def test_that_staff_set_is_shown_and_metered_from_the_next_order_on(
        self, pads: PadPlane, world: World, clock: Clock
    ) -> None:
        regions.seed(clock())
        machine_types.seed(clock())
        row = MachineType.objects.get(kind="cloudypad_gcp", name="g2-standard-8")
        shown = {}
        for person, price in ((world.alice, "1.0625"), (world.bob, "1.4")):
            row.usd_per_hour = Decimal(price)
            machine_types.save(row=row, by=Principal(user=world.sam), now=clock())
            pads.harness.account = replace(pads.harness.account, stock=machine_types.products(row.kind))
            pads.turn()
            shown[person] = discovery.recommend(console="switch", limit=1, now=clock()).usd_per_hour
            until(pads, pads.launch(owner=person), "running")
        pads.settle(seconds=3600, step=300)
        metered = Subject.objects.order_by("started_at").values_list("cost_usd_per_hour", flat=True)
        assert list(metered) == [Decimal("1.0625"), Decimal("1.4")]
        assert [float(one) for one in metered] == list(shown.values())
        assert {vm.attempt.charge_usd_per_hour for vm in VM.objects.all()} == {*metered}


class TestStart:
    def test_that_is_refused_late_stays_stopped_and_says_so(
        self, pads: PadPlane, world: World, clock: Clock
    ) -> None:
        vm = until(pads, pads.launch(owner=world.alice), "running")
        by = Principal(user=world.alice)
        services.stop(vm=vm, by=by, now=clock())
        until(pads, vm, "stopped")
        services.start(vm=vm, by=by, now=clock())
        pads.harness.fault("start_refused_later", ["start"])
        until(pads, vm, "creating")
        until(pads, vm, "stopped")
        assert "start_refused" in " ".join(story(vm))
        assert len(pads.harness.alive()) == 1
