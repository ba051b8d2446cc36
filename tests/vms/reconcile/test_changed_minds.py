"""A stop and a move that meet: the later wish stands, and neither a machine nor a game is lost to the earlier one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from accounts.principal import policy
from billing.models import Hold, Meter
from events.models import Event
from gamer.errors import InvalidState
from tests.billing.metered import broken
from tests.vms.control_plane import ControlPlane, story
from vms import moves, services
from vms.models import VM, Attempt, ProviderAccount, Stray
from vms.moves import Destination
from vms.providers.base import Rejected
from vms.providers.memory import MemoryProvider
from vms.reconcile import claims, loading
from vms.reconcile.apply import apply
from vms.reconcile.outcome import Outcome, Subject
from vms.reconcile.steps import decide
from vms.reconcile.steps.part import GIVE_UP

BY = policy("test")


@pytest.fixture
def plane(lived: ControlPlane) -> ControlPlane:
    return lived


def stop(plane: ControlPlane, vm: VM) -> None:
    services.stop(vm=vm, by=BY, now=plane.now())


def move(plane: ControlPlane, vm: VM) -> None:
    moves.move(vm=vm, to=Destination(region="Manassas"), by=BY, now=plane.now())


def settled(plane: ControlPlane) -> tuple[Subject, uuid.UUID, Outcome]:
    """What the reconciler has read and decided, and not yet written."""
    lease = claims.claim(is_acting=False, now=plane.now(), limit=1)
    (subject,) = loading.subjects(lease.ids)
    step = decide(subject.vm, subject.attempt, subject.held, subject.sessions, plane.now())
    assert step.settle is not None
    return subject, lease.token, step.settle(subject, plane.now())


def assert_stays_on_its_machine(plane: ControlPlane, vm: VM) -> None:
    """It ends stopped on the one machine it has had, and nothing of a move is left."""
    before = vm.attempt_id
    plane.until(vm, "stopped")
    plane.settle(seconds=60, step=5)
    attempt = Attempt.objects.get()
    assert (vm.attempt_id, attempt.closed_at) == (before, None), story(vm)
    assert (vm.moves_from_id, vm.moves_back_to, Stray.objects.count()) == (None, "", 0)
    assert [record.tag for record in plane.cloud.alive()] == [attempt.tag]
    assert (Meter.objects.get().kind, Hold.objects.count(), broken()) == ("stopped", 0, [])


class TestAStop:
    def test_while_the_machine_is_asked_for_its_saves_takes_a_move_back(
        self, plane: ControlPlane, running: VM
    ) -> None:
        move(plane, running)
        once: list[Callable[[], None]] = [partial(stop, plane, running)]

        class Parting(MemoryProvider):
            @property
            def has_shell(self) -> bool:  # type: ignore[override]
                if once:
                    once.pop()()
                return False

        ProviderAccount.objects.update(kind="tensordock")  # whose machines are asked
        plane.actor.open_provider = lambda account: Parting(plane.clouds[account.pk])
        assert_stays_on_its_machine(plane, running)
        assert not once

    @pytest.mark.parametrize("since", [None, GIVE_UP], ids=["depart", "give_up"])
    def test_takes_a_move_back_that_is_just_being_begun(
        self, plane: ControlPlane, running: VM, since: timedelta | None
    ) -> None:
        move(plane, running)
        VM.objects.update(parting_since=plane.now() - since if since else None)
        subject, token, departs = settled(plane)
        stop(plane, running)
        assert not apply(subject, token, departs, plane.now())
        assert_stays_on_its_machine(plane, running)


class TestAMove:
    def test_waits_for_a_stop_that_is_just_being_begun(self, plane: ControlPlane, running: VM) -> None:
        stop(plane, running)
        subject, token, stops = settled(plane)
        with pytest.raises(InvalidState, match="The VM is stopping; it must be running or stopped"):
            move(plane, running)
        assert apply(subject, token, stops, plane.now())
        vm = plane.until(running, "stopped")
        move(plane, vm)
        self.assert_arrived(plane, vm)

    def test_while_a_start_is_refused_is_carried_out(self, plane: ControlPlane, running: VM) -> None:
        stop(plane, running)
        vm = plane.until(running, "stopped")
        services.start(vm=vm, by=BY, now=plane.now())

        class Refusing(MemoryProvider):
            def start(self, machine_id: str) -> None:
                move(plane, vm)
                raise Rejected("no room where it stands")

        plane.actor.open_provider = lambda account: Refusing(plane.clouds[account.pk])
        self.assert_arrived(plane, vm)
        assert Hold.objects.get().vm == vm.pk

    def test_asked_while_a_start_is_taken_that_never_happens_is_carried_out(
        self, plane: ControlPlane, running: VM
    ) -> None:
        stop(plane, running)
        vm = plane.until(running, "stopped")
        (record,) = plane.cloud.alive()
        record.boots = False
        services.start(vm=vm, by=BY, now=plane.now())

        class Meanwhile(MemoryProvider):
            def start(self, machine_id: str) -> None:
                super().start(machine_id)
                move(plane, vm)

        plane.actor.open_provider = lambda account: Meanwhile(plane.clouds[account.pk])
        self.assert_arrived(plane, vm)

    def test_begins_afresh_where_one_was_lost_to_a_stop(self, plane: ControlPlane, running: VM) -> None:
        stop(plane, running)
        vm = plane.until(running, "stopped")
        VM.objects.update(moves_back_to="ready")
        move(plane, vm)
        self.assert_arrived(plane, vm)
        assert "move_begun" in [one.action for one in Event.objects.about("vms", vm.pk)]

    def assert_arrived(self, plane: ControlPlane, vm: VM) -> None:
        before = vm.attempt_id
        plane.turn()
        plane.until(vm, "running", step=5)
        plane.settle(seconds=60, step=5)
        assert vm.attempt_id != before, story(vm)
        assert [record.tag for record in plane.cloud.alive()] == [vm.attempt.tag]
        assert broken() == []
