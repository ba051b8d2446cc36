"""A machine on which no host key can be placed: the first one it shows is believed, and it is held to that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ports
from tests.vms.control_plane import ControlPlane, prepare
from tests.vms.providers.cloudypad_vendor import CANARY
from tests.vms.setup.sshd import Machine
from tests.world import Clock
from vms.models import VM, Attempt
from vms.providers.cloudypad.clouds import Account
from vms.providers.cloudypad.provider import open_cloudypad
from vms.reconcile import loading
from vms.reconcile.outcome import Advance, Outcome, Wait
from vms.reconcile.steps import setup

PROVIDER = open_cloudypad("cloudypad_gcp", Account("", Path("/nonexistent"), {"project_id": CANARY}))


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    return prepare(clock)


@pytest.fixture
def vm(plane: ControlPlane) -> VM:
    """Placed, so that it has keys."""
    vm = plane.launch()
    plane.reconciler.turn()
    vm.refresh_from_db()
    return vm


def looked(vm: VM, port: int, clock: Clock) -> Outcome:
    (subject,) = loading.subjects([vm.pk], with_secrets=True)
    subject.vm.ip_address, subject.vm.ssh_port, subject.vm.phase_since = "127.0.0.1", port, clock()
    return setup.run(subject, PROVIDER, clock())


class TestFirstUse:
    def test_pins_the_key_that_is_shown(self, vm: VM, machine: Machine, clock: Clock) -> None:
        outcome = looked(vm, machine.port, clock)
        assert isinstance(outcome, Wait)
        assert (outcome.vm, outcome.attempt) == ({}, {"host_public_key": machine.host.public_line})

    def test_is_waited_for_while_the_machine_boots(self, vm: VM, clock: Clock) -> None:
        outcome = looked(vm, ports.free(), clock)
        assert isinstance(outcome, Wait)
        assert not outcome.attempt

    def test_is_not_waited_for_without_end(self, vm: VM, clock: Clock) -> None:
        (subject,) = loading.subjects([vm.pk], with_secrets=True)
        subject.vm.ip_address, subject.vm.ssh_port = "127.0.0.1", ports.free()
        subject.vm.phase_since = clock()
        clock.advance(hours=1)
        outcome = setup.run(subject, PROVIDER, clock())
        assert isinstance(outcome, Advance)
        assert outcome.phase == "requested"

    def test_holds_for_that_machine_alone(self, vm: VM) -> None:
        """The next attempt's machine is another one: it is held to the VM's own key, or to one of its own."""
        Attempt.objects.filter(pk=vm.attempt_id).update(host_public_key="ssh-ed25519 learned")
        (subject,) = loading.subjects([vm.pk], with_secrets=True)
        assert setup.target_of(subject).host_public_key == "ssh-ed25519 learned"
        subject.attempt.host_public_key = ""
        assert setup.target_of(subject).host_public_key == vm.host_public_key != ""
