"""SETTING_UP on the memory cloud, whose machines had let setup in and do no more: what their provider says of them decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from events.models import Event
from gamer.sealed import Sealed
from tests import ports
from tests.vms.control_plane import ControlPlane, story
from tests.vms.reconcile.shelled import Shelled
from tests.vms.setup.sshd import Machine, started
from vms.lifecycle import DEADLINES, Phase
from vms.models import VM, Attempt, SetupStep
from vms.providers.base import MachineState
from vms.providers.memory import MemoryProvider
from vms.reconcile.steps.setup import FIRST_CONTACT, STARTING


@pytest.fixture
def vm(stocked: ControlPlane) -> VM:
    """Setup had got in; from now on its machine refuses the connection. Other machines need no setup."""
    vm = stocked.launch()
    while vm.phase != Phase.SETTING_UP:
        stocked.reconciler.turn()
        if vm.phase != Phase.BOOTING:
            stocked.actor.run_batch()
        stocked.clock.advance(seconds=0.5)
        vm.refresh_from_db()
    SetupStep.objects.create(attempt=vm.attempt, name="disk", position=1, updated_at=stocked.now())
    first = vm.attempt.number

    def shelled(account: object) -> MemoryProvider:
        is_first = VM.objects.get(pk=vm.pk).attempt.number == first
        return (Shelled if is_first else MemoryProvider)(stocked.cloud)

    stocked.actor.open_provider = shelled
    VM.objects.filter(pk=vm.pk).update(ip_address="127.0.0.1", ssh_port=ports.closed())
    return vm


@pytest.fixture
def restarted(stocked: ControlPlane, vm: VM) -> VM:
    VM.objects.filter(pk=vm.pk).update(ready_at=stocked.now())
    return vm


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with started(Machine(tmp_path)) as running:
        yield running


def attempts(vm: VM) -> list[str]:
    return [one.error_class for one in Attempt.objects.filter(vm=vm).order_by("number")]


class TestAFirstSetup:
    @pytest.mark.parametrize("why", ["StoppedByItself", "Lost"])
    def test_takes_another_offer_soon_when_the_machine_stopped_or_vanished(
        self, stocked: ControlPlane, vm: VM, why: str
    ) -> None:
        if why == "Lost":
            stocked.cloud.vanish(vm.attempt.machine_id)
        else:
            stocked.cloud.set_state(vm.attempt.machine_id, MachineState.STOPPED)
        stocked.until(vm, "running", seconds=STARTING.total_seconds() + 60)
        assert attempts(vm) == [why, ""]

    def test_goes_on_while_the_machine_runs_and_takes_another_offer_when_it_is_overdue(
        self, stocked: ControlPlane, vm: VM
    ) -> None:
        stocked.settle(seconds=200, step=20)
        vm.refresh_from_db()
        assert vm.phase == Phase.SETTING_UP, story(vm)
        late = stocked.now() - timedelta(seconds=DEADLINES[Phase.SETTING_UP])
        VM.objects.filter(pk=vm.pk).update(phase_since=late)
        stocked.until(vm, "running", seconds=120)
        assert attempts(vm) == ["Overdue", ""]


class TestARestart:
    """What was played is on its disk."""

    def test_of_a_machine_that_stopped_again_stays_stopped(
        self, stocked: ControlPlane, restarted: VM
    ) -> None:
        stocked.cloud.set_state(restarted.attempt.machine_id, MachineState.STOPPED)
        self._stops(stocked, restarted, "the machine stopped by itself while it was set up")

    def test_that_is_overdue_is_stopped(self, stocked: ControlPlane, restarted: VM) -> None:
        late = stocked.now() - timedelta(seconds=DEADLINES[Phase.SETTING_UP])
        VM.objects.filter(pk=restarted.pk).update(phase_since=late)
        self._stops(stocked, restarted, "The machine could not be made a console in time.")

    def test_whose_setup_fails_is_stopped(
        self, stocked: ControlPlane, restarted: VM, machine: Machine
    ) -> None:
        """It is not the machine that was set up, for its key is another."""
        here = machine.target()
        restarted.ssh_port, restarted.ssh_user = machine.port, here.address.user
        restarted.ssh_private_key = Sealed(here.private_key)
        restarted.phase_since = stocked.now() - FIRST_CONTACT
        restarted.save(update_fields=["ssh_port", "ssh_user", "ssh_private_key", "phase_since"])
        self._stops(stocked, restarted, "Setup failed at connect: ")

    def test_of_a_machine_that_vanished_ends_in_an_error(self, stocked: ControlPlane, restarted: VM) -> None:
        stocked.cloud.vanish(restarted.attempt.machine_id)
        stocked.until(restarted, "error", seconds=120)
        assert restarted.error == "machine_lost"
        assert attempts(restarted) == [""]

    def _stops(self, plane: ControlPlane, vm: VM, reason: str) -> None:
        plane.until(vm, "stopped", seconds=120)
        assert (vm.desired, vm.error, attempts(vm)) == ("stopped", "", [""])
        assert [record.machine_id for record in plane.cloud.alive()] == [vm.attempt.machine_id]
        refused = Event.objects.about("vms", vm.pk).get(action="start_refused")
        assert refused.details["reason"].startswith(reason)
