from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import Schedule

from accounts.principal import policy
from events.models import Event
from tests.vms.control_plane import ControlPlane
from tests.world import Clock, World
from vms import provider_accounts, services
from vms.archive import archive
from vms.models import VM, Attempt, GameSession, SetupStep

pytestmark = pytest.mark.django_db
KEYS = ("ssh_private_key", "host_private_key", "agent_bootstrap")


@pytest.fixture
def ended(plane: ControlPlane, world: World) -> VM:
    """Played, and gone: with an order, a game and the log of a step."""
    vm = plane.until(plane.launch(world.alice), "running")
    SetupStep.objects.create(
        attempt=vm.attempt, position=1, name="wolf", title="Wolf", state="done", updated_at=plane.now()
    )
    services.destroy(vm=vm, by=policy("test"), now=plane.now())
    return plane.until(vm, "terminated")


class TestArchive:
    def test_leaves_what_money_and_audit_need(self, plane: ControlPlane, ended: VM, clock: Clock) -> None:
        assert ended.ssh_public_key
        assert ended.latitude is not None
        clock.advance(days=91)
        assert archive(clock()) == 1
        vm = VM.objects.get(pk=ended.pk)
        assert [getattr(vm, name).reveal() for name in KEYS] == ["", "", ""]
        assert (vm.ssh_public_key, vm.host_public_key, vm.agent_token_digest, vm.machine_raw) == (
            "",
            "",
            "",
            {},
        )
        assert (vm.latitude, vm.longitude) == (None, None)
        assert not SetupStep.objects.exists()
        assert (vm.status, vm.owner_id, vm.archived_at) == ("terminated", ended.owner_id, clock())
        assert Attempt.objects.filter(vm=vm).exists()
        assert GameSession.objects.filter(vm=vm).exists()
        told = Event.objects.about("vms", vm.pk).last()
        assert (told.actor, told.action, told.owner_id) == ("policy:retention", "archived", vm.owner_id)

    def test_waits_for_ninety_days(self, plane: ControlPlane, ended: VM) -> None:
        assert archive(ended.ended_at + timedelta(days=90)) == 0
        assert archive(ended.ended_at + timedelta(days=90, seconds=1)) == 1

    def test_is_done_once_in_batches(
        self, plane: ControlPlane, ended: VM, world: World, clock: Clock
    ) -> None:
        other = plane.launch(world.bob)
        services.destroy(vm=other, by=policy("test"), now=plane.now())
        plane.until(other, "terminated")
        clock.advance(days=91)
        assert archive(clock(), batch=1) == 2
        assert archive(clock(), batch=1) == 0
        assert Event.objects.filter(action="archived").count() == 2

    def test_touches_none_that_may_have_a_machine(self, ended: VM, clock: Clock) -> None:
        Attempt.objects.filter(vm=ended).update(gone_at=None)
        clock.advance(days=91)
        assert archive(clock()) == 0

    def test_touches_none_that_lives(self, plane: ControlPlane, world: World, clock: Clock) -> None:
        plane.until(plane.launch(world.bob), "running")
        assert archive(clock.advance(days=400)) == 0

    def test_is_undone_by_a_retry_which_makes_new_keys(
        self, plane: ControlPlane, world: World, clock: Clock
    ) -> None:
        vm = plane.until(plane.launch(world.bob), "running")
        old = VM.objects.get(pk=vm.pk).ssh_public_key
        services.destroy(vm=vm, by=policy("test"), now=plane.now())
        plane.until(vm, "terminated")
        VM.objects.filter(pk=vm.pk).update(phase="failed", error="timeout")
        clock.advance(days=91)
        assert archive(clock()) == 1
        plane.turn()
        plane.turn()
        services.retry(vm=vm, by=policy("test"), now=plane.now())
        vm = plane.until(vm, "running")
        assert vm.archived_at is None
        assert vm.ssh_public_key not in ("", old)


def test_happens_every_night(ended: VM, clock: Clock) -> None:
    provider_accounts.seed(clock())
    schedule = Schedule.objects.get(func="vms.tasks.archive_ended")
    assert schedule.minutes == 24 * 60
    VM.objects.filter(pk=ended.pk).update(ended_at=timezone.now() - timedelta(days=91))
    import_string(schedule.func)()
    assert VM.objects.get(pk=ended.pk).archived_at is not None
