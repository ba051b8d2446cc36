"""Nobody comes for a while: the reconcilers, the workers or the database are away. That costs the time it lasts, nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.principal import policy
from tests.vms.control_plane import ControlPlane, story
from vms import services
from vms.lifecycle import DEADLINES, Phase
from vms.models import VM, Attempt, Offer, ProviderAccount
from vms.providers.memory import MemoryCloud, MemoryProvider
from vms.reconcile import claims
from vms.reconcile.liveness import deadline_of


def without_workers(plane: ControlPlane, *, seconds: float, poked: VM | None = None) -> None:
    """The reconciler turns alone, and sees a VM that somebody asks for again and again."""
    until = plane.now() + timedelta(seconds=seconds)
    while plane.now() < until:
        if poked is not None:
            services.poke(poked, plane.now())
        for _ in range(3):
            plane.reconciler.turn()
            plane.clock.advance(seconds=3)


def in_phase(plane: ControlPlane, vm: VM, phase: Phase) -> VM:
    while vm.phase != phase:
        plane.turn(0.5)
        vm.refresh_from_db()
    return vm


def attempts(vm: VM) -> list[str]:
    return [one.error_class for one in Attempt.objects.filter(vm=vm).order_by("number")]


class TestALaunch:
    def test_is_placed_when_the_reconciler_comes_back(self, stocked: ControlPlane) -> None:
        vm = stocked.launch()
        stocked.clock.advance(seconds=DEADLINES[Phase.REQUESTED] + 5)
        stocked.until(vm, "running", seconds=60)
        assert attempts(vm) == [""]

    def test_is_placed_when_the_offers_have_become_too_old_meanwhile(self, stocked: ControlPlane) -> None:
        vm = stocked.launch()
        stocked.clock.advance(hours=1)
        stocked.until(vm, "running", seconds=60)
        assert attempts(vm) == [""]

    def test_has_its_whole_time_then_and_no_more(self, stocked: ControlPlane) -> None:
        vm = stocked.launch()
        Offer.objects.update(cools_until=stocked.clock().replace(year=2030))
        stocked.clock.advance(hours=1)
        stocked.settle(seconds=DEADLINES[Phase.REQUESTED] - 5)
        vm.refresh_from_db()
        assert vm.status == "creating", story(vm)
        stocked.until(vm, "error", seconds=30)
        assert vm.error == "no_capacity"

    def test_is_ordered_when_the_workers_come_back_and_nobody_is_blamed(self, stocked: ControlPlane) -> None:
        vms = [stocked.launch() for _ in range(4)]
        without_workers(stocked, seconds=DEADLINES[Phase.CREATING] + 10)
        assert set(VM.objects.values_list("phase", flat=True)) == {Phase.CREATING}
        for vm in vms:
            stocked.until(vm, "running", seconds=60)
        assert [attempts(vm) for vm in vms] == [[""]] * len(vms)
        assert not Offer.objects.exclude(cools_until=None).exists()
        assert ProviderAccount.objects.get().orders_failed_in_a_row == 0

    def test_keeps_a_machine_that_came_to_run_meanwhile(self, stocked: ControlPlane) -> None:
        vm = in_phase(stocked, stocked.launch(), Phase.BOOTING)
        stocked.clock.advance(seconds=DEADLINES[Phase.BOOTING] + 10)
        stocked.until(vm, "running", seconds=60)
        assert attempts(vm) == [""]
        assert stocked.cloud.created_total == 1


class TestAnOrder:
    def test_that_nobody_can_send_goes_to_the_next_account_without_blame(self, stocked: ControlPlane) -> None:
        first = ProviderAccount.objects.get()
        other = stocked.add_account("other", MemoryCloud(boot_s=5))
        ProviderAccount.objects.filter(pk=other.pk).update(is_paused=True)
        stocked.settle(seconds=5)

        def refuse(account: ProviderAccount) -> MemoryProvider:
            if account.pk == first.pk:
                raise ValueError("no such adapter")
            return stocked.open(account)

        stocked.actor.open_provider = refuse
        vm = in_phase(stocked, stocked.launch(), Phase.CREATING)
        ProviderAccount.objects.filter(pk=other.pk).update(is_paused=False)
        while attempts(vm)[-1:] != [""] or vm.attempt.account_id != other.pk:
            stocked.settle(seconds=60, step=5)
            vm.refresh_from_db()
        stocked.until(vm, "running", seconds=60)
        unsent = Attempt.objects.filter(vm=vm, account=first)
        assert {(one.error_class, one.sent_at, one.gone_at is None) for one in unsent} == {
            ("NotSent", None, False)
        }
        assert not Offer.objects.exclude(cools_until=None).exists()
        first.refresh_from_db()
        assert first.orders_failed_in_a_row == 0

    def test_has_its_providers_whole_time_however_late_it_was_sent(self, stocked: ControlPlane) -> None:
        now, late = stocked.now(), timedelta(seconds=200)
        attempt = Attempt(account=ProviderAccount(kind="memory"), sent_at=now + late)
        whole = timedelta(seconds=DEADLINES[Phase.CREATING])
        vm = VM(phase=Phase.CREATING, phase_since=now)
        assert deadline_of(vm, attempt) == now + late + whole
        vm.phase_since = now + 2 * late  # while nobody came
        assert deadline_of(vm, attempt) == now + 2 * late + whole


class TestAStop:
    @pytest.mark.parametrize("is_asked_for", [False, True])
    def test_is_ordered_when_the_workers_come_back(self, stocked: ControlPlane, is_asked_for: bool) -> None:
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        poked = vm if is_asked_for else None
        without_workers(stocked, seconds=DEADLINES[Phase.STOPPING] + 10, poked=poked)
        vm.refresh_from_db()
        assert (vm.phase, vm.action_sent_at) == (Phase.STOPPING, None)
        stocked.until(vm, "stopped", seconds=60)
        assert [record.machine_id for record in stocked.cloud.alive()] == [vm.attempt.machine_id]

    def test_is_ordered_when_one_is_asked_for_shortly_before(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        without_workers(stocked, seconds=DEADLINES[Phase.STOPPING] + 10)
        without_workers(stocked, seconds=10, poked=vm)
        stocked.until(vm, "stopped", seconds=60)
        assert stocked.cloud.alive()


class TestTime:
    """What `claims.claim` counts."""

    def test_in_which_nobody_came_makes_no_phase_and_no_patience_older(self, stocked: ControlPlane) -> None:
        vm = in_phase(stocked, stocked.launch(), Phase.BOOTING)
        begun = stocked.now()
        since = {"phase_since": begun - timedelta(seconds=20), "parting_since": begun - timedelta(seconds=10)}
        VM.objects.filter(pk=vm.pk).update(**since, next_look_at=begun)
        claims.claim(is_acting=vm.is_acting, now=begun + timedelta(hours=1), limit=1)
        vm.refresh_from_db()
        assert (vm.phase_since, vm.parting_since) == tuple(one + timedelta(hours=1) for one in since.values())

    @pytest.mark.parametrize("phase", [Phase.READY, Phase.STOPPED, Phase.DELETING])
    def test_counts_in_phases_that_may_last(self, stocked: ControlPlane, phase: Phase) -> None:
        vm, now = stocked.launch(), stocked.now()
        VM.objects.filter(pk=vm.pk).update(phase=phase, phase_since=now, next_look_at=now)
        claims.claim(is_acting=False, now=now + timedelta(hours=1), limit=1)
        vm.refresh_from_db()
        assert (vm.phase_since, vm.parting_since) == (now, None)

    def test_counts_for_one_of_which_whoever_takes_it_dies(self, stocked: ControlPlane) -> None:
        """Else it would be taken for ever."""
        vm, now = stocked.launch(), stocked.now()
        VM.objects.filter(pk=vm.pk).update(phase_since=now, next_look_at=now)
        for deaths in range(5):
            at = now + deaths * timedelta(seconds=claims.LEASE_S + 1)
            assert claims.claim(is_acting=False, now=at, limit=1).ids == [vm.pk]
        vm.refresh_from_db()
        assert vm.phase_since == now
