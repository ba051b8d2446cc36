"""A stopped VM whose machine runs, or may: it is stopped again, or it would run unseen at the price of a stopped one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.principal import policy
from billing.models import Meter
from events.models import Event
from tests.billing.metered import broken
from tests.vms.control_plane import ControlPlane, story
from tests.world import NOON
from vms import services
from vms.lifecycle import Phase
from vms.models import VM, Attempt
from vms.providers.base import Machine, MachineState, Unavailable
from vms.providers.memory import MemoryCloud, MemoryProvider
from vms.reconcile.outcome import Advance, Snapshot, Subject
from vms.reconcile.steps import boot


def test_a_machine_that_somebody_started_is_stopped_again(lived: ControlPlane, running: VM) -> None:
    services.stop(vm=running, by=policy("test"), now=lived.now())
    vm = lived.until(running, "stopped")
    lived.settle(seconds=120, step=5)
    lived.cloud.set_state(vm.attempt.machine_id, MachineState.RUNNING)
    lived.settle(seconds=120, step=5)
    (machine,) = MemoryProvider(lived.cloud).list()
    assert machine.state is MachineState.STOPPED, story(vm)
    lived.settle(seconds=3600, step=30)
    vm.refresh_from_db()
    assert (vm.status, vm.desired, vm.error) == ("stopped", "stopped", ""), story(vm)
    why = Event.objects.about("vms", vm.pk).filter(action="stopping").order_by("id").last()
    assert why is not None
    assert why.details == {"from": "stopped", "reason": "the stopped machine runs"}
    assert (Meter.objects.get().kind, broken()) == ("stopped", [])


def test_a_machine_that_is_started_again_has_a_whole_session(lived: ControlPlane, running: VM) -> None:
    whole = timedelta(hours=running.max_session_hours)
    assert running.session_ends_at == running.ready_at + whole
    services.stop(vm=running, by=policy("test"), now=lived.now())
    vm = lived.until(running, "stopped")
    assert (vm.session_ends_at, vm.end_warned_at) == (None, None)
    lived.clock.advance(hours=running.max_session_hours - 1)
    lived.settle(seconds=120, step=10)
    services.start(vm=vm, by=policy("test"), now=lived.now())
    vm = lived.until(vm, "running")
    assert vm.session_ends_at - vm.phase_since == whole, story(vm)


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (MachineState.STOPPED, Phase.STOPPED),
        (MachineState.RUNNING, Phase.STOPPING),
        (MachineState.PENDING, Phase.STOPPING),
        (MachineState.UNKNOWN, Phase.STOPPING),
    ],
)
def test_a_machine_whose_start_went_wrong_is_stopped_unless_it_is(state: MachineState, phase: Phase) -> None:
    vm = VM(phase=Phase.BOOTING, phase_since=NOON, ready_at=NOON)
    attempt = Attempt(machine_id="m1", vm=vm)
    machine = Machine("m1", "", state, failure=Unavailable("the start failed"))
    snapshot = Snapshot.of(1, NOON.replace(minute=1), [machine])
    outcome = boot.run(
        Subject(vm, attempt, [attempt], [], snapshot), MemoryProvider(MemoryCloud()), NOON.replace(minute=1)
    )
    assert isinstance(outcome, Advance)
    assert (outcome.phase, outcome.vm["desired"]) == (phase, "stopped")
