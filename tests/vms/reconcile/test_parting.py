"""A VM leaves its machine, or is only looked after: it waits for the saves, and not for ever, whatever the machine does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.principal import policy
from events.models import Event
from tests.vms.control_plane import ControlPlane, story
from tests.vms.reconcile.shelled import Shelled, ask_over_ssh
from tests.world import World
from vms import services
from vms.models import VM
from vms.providers.memory import Fault
from vms.reconcile.steps.part import GIVE_UP, PATIENCE


@pytest.fixture
def playing(plane: ControlPlane, world: World) -> VM:
    """A VM that runs; from here on its machine is asked over SSH, and refuses the connection."""
    plane.turn()
    plane.turn()
    vm = plane.until(plane.launch(world.alice), "running")
    plane.settle(seconds=10)
    ask_over_ssh(plane, vm)
    return vm


def said(vm: VM) -> set[str]:
    return {one.action for one in Event.objects.about("vms", vm.pk)}


class TestPatience:
    @pytest.mark.parametrize(("act", "phase"), [("destroy", "deleting"), ("stop", "stopping")])
    def test_ends_when_the_machine_cannot_even_be_asked(
        self, plane: ControlPlane, playing: VM, act: str, phase: str
    ) -> None:
        """No error that a machine may cause: a bug of ours, or a key that no longer opens."""
        VM.objects.filter(pk=playing.pk).update(host_public_key="no key at all")
        asked_at = plane.clock()
        getattr(services, act)(vm=playing, by=policy("test"), now=asked_at)
        plane.settle(seconds=GIVE_UP.total_seconds() - 10, step=5)
        playing.refresh_from_db()
        assert playing.phase == "ready"
        plane.settle(seconds=60, step=5)
        playing.refresh_from_db()
        assert playing.phase != "ready", story(playing)
        assert playing.parting_since is None
        left = Event.objects.about("vms", playing.pk).get(action={"deleting": "ending"}.get(phase, phase))
        assert left.at - asked_at < GIVE_UP + timedelta(seconds=40)
        assert "save_at_risk" in said(playing)

    def test_is_written_before_the_machine_is_asked(self, plane: ControlPlane, playing: VM) -> None:
        services.destroy(vm=playing, by=policy("test"), now=plane.clock())
        for _ in range(2):  # the first one finds that somebody wants another look
            plane.reconciler.turn()
        seen = []

        class Seeing(Shelled):
            @property
            def has_shell(self) -> bool:  # type: ignore[override]
                seen.append(VM.objects.get(pk=playing.pk).parting_since)
                return True

        plane.actor.open_provider = lambda account: Seeing(plane.clouds[account.pk])
        plane.actor.run_batch()
        assert seen == [plane.clock()]

    def test_is_whole_after_a_game_that_could_not_be_launched(self, plane: ControlPlane, playing: VM) -> None:
        """The launch has been asked for, in vain, for longer than saves are waited for."""
        plane.cloud.switch_on(Fault.UNAVAILABLE, verbs=["list"], times=None)
        services.play(vm=playing, by=policy("test"), game_id="zelda", now=plane.clock())
        plane.settle(seconds=PATIENCE.total_seconds() + 60, step=2)
        playing.refresh_from_db()
        assert playing.action_sent_at is not None
        asked_at = plane.clock()
        services.destroy(vm=playing, by=policy("test"), now=asked_at)
        plane.settle(seconds=PATIENCE.total_seconds() - 10, step=5)
        playing.refresh_from_db()
        assert (playing.phase, "save_at_risk" in said(playing)) == ("ready", False)
        plane.settle(seconds=30, step=5)
        playing.refresh_from_db()
        assert (playing.phase != "ready", "save_at_risk" in said(playing)) == (True, True)


class TestWatch:
    def test_is_written_before_the_machine_is_asked(self, plane: ControlPlane, playing: VM) -> None:
        """A machine that outlasts the task is not asked again as soon as the lease is over."""
        plane.clock.advance(seconds=100)
        plane.reconciler.turn()
        seen = []

        class Seeing(Shelled):
            @property
            def has_shell(self) -> bool:  # type: ignore[override]
                seen.append(VM.objects.get(pk=playing.pk).watched_at)
                return True

        plane.actor.open_provider = lambda account: Seeing(plane.clouds[account.pk])
        plane.actor.run_batch()
        assert seen == [plane.clock()]
