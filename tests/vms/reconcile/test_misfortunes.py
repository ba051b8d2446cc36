"""What can go wrong at a provider, one at a time, on the memory cloud's clock. The same over HTTP: tests/journeys."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.principal import policy
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.moments import written
from tests.vms import simulation
from tests.vms.control_plane import ControlPlane, story
from vms import installation, queries, saves, services
from vms.lifecycle import Desired
from vms.models import VM, Attempt, GameSession, Offer, ProviderAccount, Stray
from vms.providers.base import MachineState, make_tag
from vms.providers.memory import Fault, MemoryCloud, MemoryProvider
from vms.reconcile import claims
from vms.reconcile.loop import Reconciler
from vms.spending import unproven_deletes

HOUR = 3600


def destroy(plane: ControlPlane, vm: VM) -> None:
    services.destroy(vm=vm, by=policy("test"), now=plane.clock())


class TestCreate:
    def test_tries_the_next_offer_when_there_is_no_capacity(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.NO_CAPACITY)
        vm = stocked.until(stocked.launch(), "running")
        first, second = Attempt.objects.filter(vm=vm)
        assert (first.error_class, second.error_class) == ("NoCapacity", "")
        assert first.offer_id != second.offer_id
        assert Offer.objects.get(offer_id=first.offer_id).cools_until is not None

    def test_fails_with_the_reason_when_every_offer_rejects_the_order(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.REJECTED, times=None)
        vm = stocked.until(stocked.launch(), "error")
        assert vm.error == "rejected"
        assert "the order is not valid" in vm.error_text
        assert not stocked.cloud.alive()

    def test_finds_the_machine_of_a_create_that_timed_out(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.LOST_MADE)
        vm = stocked.until(stocked.launch(), "running")
        assert Attempt.objects.get(vm=vm).error_class == ""
        assert stocked.cloud.created_total == 1

    def test_goes_on_elsewhere_when_a_timed_out_create_made_nothing(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.LOST_UNMADE)
        vm = stocked.until(stocked.launch(), "running")
        assert [one.error_class for one in Attempt.objects.filter(vm=vm)] == ["OutcomeUnknown", ""]
        assert stocked.cloud.created_total == 1

    def test_does_not_give_up_on_the_word_of_one_list(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.LOST_MADE)
        stocked.cloud.switch_on(Fault.HIDDEN, lists=2)
        vm = stocked.until(stocked.launch(), "running")
        assert Attempt.objects.filter(vm=vm).count() == 1
        assert stocked.cloud.created_total == 1

    def test_deletes_a_slow_create_that_lands_after_its_attempt_was_closed(
        self, stocked: ControlPlane
    ) -> None:
        stocked.cloud.switch_on(Fault.LOST_LATE, seconds=120)
        vm = stocked.until(stocked.launch(), "running")
        stocked.settle(seconds=300)
        assert stocked.cloud.created_total == 2
        assert [record.tag for record in stocked.cloud.alive()] == [vm.attempt.tag]
        stray = Stray.objects.get()
        assert stray.reason == Stray.Reason.SUPERSEDED
        assert stray.gone_at is not None

    def test_pauses_the_account_and_tells_staff_when_the_credentials_are_refused(
        self, stocked: ControlPlane
    ) -> None:
        other = stocked.add_account("other", MemoryCloud(boot_s=5))
        stocked.settle(seconds=5)
        stocked.cloud.switch_on(Fault.BAD_CREDENTIALS, verbs=["create"], times=None)
        vm = stocked.until(stocked.launch(), "running")
        assert vm.attempt.account == other
        paused = ProviderAccount.objects.get(name="memory")
        assert paused.paused_until is not None
        assert "BadCredentials" in paused.paused_why
        assert Event.objects.filter(action="suspend", resource="provider_accounts").count() == 1

    def test_waits_for_a_provider_that_is_away_and_then_arrives(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.UNAVAILABLE, verbs=["create"], times=4)
        vm = stocked.until(stocked.launch(), "running", seconds=300)
        assert stocked.cloud.created_total == 1, story(vm)


class TestBoot:
    def test_takes_another_offer_when_the_machine_never_runs(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.NEVER_RUNS)
        vm = stocked.until(stocked.launch(), "running", step=5)
        assert [one.error_class for one in Attempt.objects.filter(vm=vm)] == ["Overdue", ""]
        stocked.settle(seconds=200, step=2)
        assert [record.tag for record in stocked.cloud.alive()] == [vm.attempt.tag]

    def test_takes_another_offer_when_the_machine_stops_by_itself(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.STOPS, seconds=2)
        vm = stocked.until(stocked.launch(), "running")
        assert [one.error_class for one in Attempt.objects.filter(vm=vm)] == ["StoppedByItself", ""]

    def test_takes_another_offer_when_the_machine_vanishes(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.VANISHES, seconds=2)
        vm = stocked.until(stocked.launch(), "running")
        assert [one.error_class for one in Attempt.objects.filter(vm=vm)] == ["Lost", ""]


class TestReady:
    def test_ends_in_error_when_the_machine_vanishes(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.vanish(vm.attempt.machine_id)
        stocked.until(vm, "error", seconds=300)
        assert vm.error == "machine_lost"

    def test_goes_on_while_lists_leave_its_machine_out(self, stocked: ControlPlane) -> None:
        stocked.cloud.switch_on(Fault.HIDDEN, lists=1000)
        vm = stocked.until(stocked.launch(), "running")
        stocked.settle(seconds=200, step=2)
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=700)
        stocked.settle(seconds=200, step=5)
        vm.refresh_from_db()
        assert (vm.status, vm.error) == ("stopped", ""), story(vm)
        assert [record.tag for record in stocked.cloud.alive()] == [vm.attempt.tag]

    def test_is_not_given_up_before_the_machine_itself_was_asked_for(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.switch_on(Fault.UNAVAILABLE, verbs=["get"], times=None, for_s=200)
        stocked.cloud.vanish(vm.attempt.machine_id)
        stocked.settle(seconds=150, step=2)
        vm.refresh_from_db()
        assert vm.status == "running"
        stocked.until(vm, "error", seconds=300)
        assert vm.error == "machine_lost"

    def test_accepts_a_machine_that_stopped_by_itself(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.set_state(vm.attempt.machine_id, MachineState.STOPPED)
        stocked.until(vm, "stopped", seconds=120)
        assert (
            Event.objects.about("vms", vm.pk)
            .filter(action="power_off", details__reason__icontains="by itself")
            .exists()
        )

    def test_survives_lists_that_fail(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.switch_on(Fault.INCOMPLETE_LIST, times=20)
        stocked.settle(seconds=200, step=2)
        vm.refresh_from_db()
        assert vm.status == "running"

    def test_ends_when_its_session_is_over(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.clock.advance(hours=vm.max_session_hours)
        stocked.until(vm, "terminated", seconds=120)


class TestStop:
    def test_stops_and_starts_the_same_machine(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        machine = vm.attempt.machine_id
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "running", seconds=120)
        assert vm.attempt.machine_id == machine
        assert stocked.cloud.created_total == 1

    @pytest.mark.parametrize("is_late", [False, True], ids=["with the start", "while it is asked for"])
    def test_stays_stopped_and_says_so_when_the_start_finds_no_capacity(
        self, stocked: ControlPlane, is_late: bool
    ) -> None:
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        stocked.cloud.switch_on(Fault.NO_CAPACITY, verbs=["start"])
        launch = [lambda: services.play(vm=vm, by=policy("test"), game_id="zelda", now=stocked.clock())]

        class Starting(MemoryProvider):
            def start(self, machine_id: str) -> None:
                if launch:
                    launch.pop()()
                super().start(machine_id)

        stocked.actor.open_provider = lambda account: Starting(stocked.clouds[account.pk])
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        if not is_late:
            launch.pop()()
        stocked.settle(seconds=5)
        vm.refresh_from_db()
        assert (vm.status, vm.desired) == ("stopped", Desired.STOPPED), story(vm)
        refused = Event.objects.about("vms", vm.pk).get(action="start_refused")
        session = vm.sessions.get(game_id="zelda")
        assert (session.status, saves.playing_on(session.slot)) == ("ended", None)
        assert session.error_text == ("" if is_late else refused.details["reason"])
        # A later start launches nothing by itself.
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "running", seconds=120)
        stocked.settle(seconds=30)
        assert not vm.sessions.filter(status__in=GameSession.OPEN).exists()

    def test_is_stopped_again_when_its_start_never_happens(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        (record,) = stocked.cloud.alive()
        record.boots = False
        services.start(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.settle(seconds=900, step=5)
        vm.refresh_from_db()
        assert (vm.status, vm.error) == ("stopped", ""), story(vm)
        assert stocked.cloud.alive() == [record]
        refused = Event.objects.about("vms", vm.pk).get(action="start_refused")
        assert refused.details == {"reason": "The machine did not start in time."}

    @pytest.mark.parametrize(("kept_h", "warned_h"), [(48, 24), (96, 72), (3, 1.5)])
    def test_deletes_a_machine_that_was_stopped_too_long(
        self, stocked: ControlPlane, settings: Any, kept_h: int, warned_h: float
    ) -> None:
        settings.STOPPED_KEEP_HOURS = kept_h
        vm = stocked.until(stocked.launch(), "running")
        services.stop(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "stopped", seconds=120)
        ends_at = vm.phase_since + timedelta(hours=kept_h)
        warnings = Event.objects.about("vms", vm.pk).filter(action="end_warning")
        stocked.clock.advance(hours=warned_h, minutes=-5)
        stocked.settle(seconds=120, step=10)
        assert not warnings.exists()
        stocked.clock.advance(minutes=5)
        stocked.settle(seconds=300, step=10)
        assert warnings.get().details == {
            "ends_at": written(ends_at),
            "reason": f"A stopped VM is kept for {kept_h} h.",
        }
        stocked.clock.advance(seconds=(ends_at - stocked.clock()).total_seconds())
        stocked.until(vm, "terminated", seconds=300)
        assert not stocked.cloud.alive()
        assert warnings.count() == 1

    def test_warns_of_a_deletion_again_when_it_was_started_in_between(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        for _ in range(2):
            services.stop(vm=vm, by=policy("test"), now=stocked.clock())
            stocked.until(vm, "stopped", seconds=120)
            stocked.clock.advance(hours=25)
            stocked.settle(seconds=120, step=10)
            services.start(vm=vm, by=policy("test"), now=stocked.clock())
            stocked.until(vm, "running", seconds=120)
            assert vm.end_warned_at is None
        assert Event.objects.about("vms", vm.pk).filter(action="end_warning").count() == 2


class TestClock:
    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_that_went_back_puts_nothing_off(self, stocked: ControlPlane, is_restarted: bool) -> None:
        stocked.clock.advance(hours=1)
        vm = stocked.until(stocked.launch(), "running")
        stocked.settle(seconds=120)
        stocked.clock.advance(hours=-1)
        if is_restarted:
            stocked.reconciler = Reconciler(
                clock=stocked.clock, open_provider=stocked.open, ring=stocked.reconciler.ring, threads=0
            )
        stray = stocked.cloud.plant(make_tag(installation.identifier(), "aaaaaaaaaaaa", 1))
        stocked.cloud.vanish(vm.attempt.machine_id)
        stocked.until(vm, "error", seconds=180)
        stocked.settle(seconds=600, step=5)
        assert vm.error == "machine_lost"
        assert stray.machine_id not in [record.machine_id for record in stocked.cloud.alive()]

    def test_that_goes_on_moves_no_row(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        before = VM.objects.filter(pk=vm.pk).values().get()
        assert claims.set_back(stocked.now()) == 0
        assert VM.objects.filter(pk=vm.pk).values().get() == before

    def test_that_went_back_leaves_a_lease_its_time(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        now = stocked.now()
        token = uuid.uuid4()
        VM.objects.filter(pk=vm.pk).update(lease_token=token, lease_until=now + timedelta(hours=1))
        before = VM.objects.filter(pk=vm.pk).values().get()
        assert claims.set_back(now) == 1
        lease_until = now + timedelta(seconds=claims.LEASE_S)
        assert VM.objects.filter(pk=vm.pk).values().get() == {**before, "lease_until": lease_until}

    def test_that_went_back_makes_no_moments_of_none(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        now = stocked.now() - timedelta(hours=1)
        VM.objects.filter(pk=vm.pk).update(action_sent_at=stocked.now(), watched_at=now)
        before = VM.objects.filter(pk=vm.pk).values().get()
        assert claims.set_back(now) == 1
        put_right = dict.fromkeys(("next_look_at", "phase_since", "action_sent_at"), now)
        assert VM.objects.filter(pk=vm.pk).values().get() == {**before, **put_right}


class TestDelete:
    def test_is_repeated_for_as_long_as_the_provider_fails_and_says_what_it_costs(
        self, stocked: ControlPlane
    ) -> None:
        vm = stocked.until(stocked.launch(), "running")
        stocked.cloud.switch_on(Fault.UNAVAILABLE, verbs=["delete"], times=None, for_s=HOUR)
        destroy(stocked, vm)
        stocked.settle(seconds=HOUR - 60, step=60)
        vm.refresh_from_db()
        assert vm.status == "terminating"
        alarm = Event.objects.about("vms", vm.pk).get(action="delete_unproven")
        assert alarm.details == {"minutes": 10}
        assert unproven_deletes(stocked.now()) == (1, queries.costs_of([vm.pk], stocked.now())[vm.pk])
        stocked.until(vm, "terminated", seconds=300, step=5)
        assert not stocked.cloud.alive()

    def test_that_one_machine_refuses_is_asked_ever_less_often_and_harms_no_launch(
        self, stocked: ControlPlane
    ) -> None:
        for vm in [stocked.until(stocked.launch(), "running") for _ in range(3)]:
            stocked.cloud.switch_on(Fault.UNAVAILABLE, verbs=["delete"], times=None, for_s=HOUR)
            destroy(stocked, vm)
        account = ProviderAccount.objects.get()
        asked = []
        for _ in range(20):
            before = stocked.cloud.calls["delete"]
            stocked.settle(seconds=60, step=1)
            asked.append(stocked.cloud.calls["delete"] - before)
            account.refresh_from_db()
            assert account.failures_in_a_row == 0
            assert "Unavailable" in account.last_error
        assert asked[0] > 3 * asked[9] > 0
        assert 3 <= asked[-1] <= 6
        stocked.until(stocked.launch(), "running")

    def test_ends_a_launch_at_any_phase_without_leaving_a_machine(self, stocked: ControlPlane) -> None:
        for turns in range(12):
            vm = stocked.launch()
            for _ in range(turns):
                stocked.turn(0.7)
            destroy(stocked, vm)
            stocked.until(vm, "terminated", seconds=200)
        stocked.settle(seconds=120, step=2)
        assert not stocked.cloud.alive()

    def test_costs_nobody_a_machine_when_delivered_twice(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        destroy(stocked, vm)
        destroy(stocked, vm)
        stocked.until(vm, "terminated", seconds=60)
        assert Event.objects.about("vms", vm.pk).filter(action="delete_asked").count() == 1


class TestRetry:
    def test_places_a_failed_launch_anew(self, stocked: ControlPlane) -> None:
        switch = stocked.cloud.switch_on(Fault.REJECTED, times=None)
        vm = stocked.until(stocked.launch(), "error")
        stocked.cloud.switch_off(switch)
        stocked.clock.advance(seconds=120)
        services.retry(vm=vm, by=policy("test"), now=stocked.clock())
        stocked.until(vm, "running", seconds=120)
        assert vm.error == ""


class TestCaps:
    def test_hold_the_number_of_machines_of_an_account(self, stocked: ControlPlane) -> None:
        ProviderAccount.objects.update(max_machines=2)
        for _ in range(5):
            stocked.launch()
        stocked.settle(seconds=60)
        assert len(stocked.cloud.alive()) == 2

    def test_hold_what_an_account_may_cost_an_hour(self, stocked: ControlPlane) -> None:
        ProviderAccount.objects.update(max_usd_per_hour=Decimal("1.0"))
        for _ in range(5):
            stocked.launch()
        stocked.settle(seconds=60)
        alive = {record.tag for record in stocked.cloud.alive()}
        spent = sum(attempt.usd_per_hour for attempt in Attempt.objects.filter(tag__in=alive))
        assert 0 < spent <= Decimal("1.0")


class TestStrays:
    def test_leave_the_machines_of_another_installation_alone(self, stocked: ControlPlane) -> None:
        stocked.cloud.plant(make_tag("othersxx", "aaaaaaaaaaaa", 1))
        stocked.cloud.plant("somebody-elses-server")
        stocked.settle(seconds=HOUR, step=120)
        assert len(stocked.cloud.alive()) == 2

    def test_delete_an_unknown_machine_of_ours_after_the_grace_period(self, stocked: ControlPlane) -> None:
        from vms import installation

        stocked.cloud.plant(make_tag(installation.identifier(), "aaaaaaaaaaaa", 1))
        stocked.settle(seconds=500, step=20)
        assert len(stocked.cloud.alive()) == 1
        stocked.settle(seconds=400, step=20)
        assert not stocked.cloud.alive()
        assert Stray.objects.get().reason == Stray.Reason.UNKNOWN

    def test_wait_for_an_operator_after_the_database_was_restored(self, stocked: ControlPlane) -> None:
        from vms import installation

        installation.Installation.objects.update(database_mark="another/1")
        installation.notice_a_move(now=stocked.clock())
        stocked.cloud.plant(make_tag(installation.identifier(), "aaaaaaaaaaaa", 1))
        stocked.settle(seconds=HOUR, step=120)
        assert len(stocked.cloud.alive()) == 1
        installation.Installation.objects.update(is_sweep_confirmed=True)
        stocked.settle(seconds=200, step=20)
        assert not stocked.cloud.alive()


class TestDeath:
    @pytest.mark.parametrize("point", simulation.CRASH_POINTS)
    def test_at_any_marked_point_costs_time_and_nothing_else(self, stocked: ControlPlane, point: str) -> None:
        """The whole life of a VM, one order landing late included, with a death at the first pass over the point."""
        stocked.cloud.switch_on(Fault.LOST_LATE, seconds=60)
        vm = stocked.launch()
        died = 0
        for act, status in (
            ("stop", "running"),
            ("start", "stopped"),
            ("destroy", "running"),
            ("", "terminated"),
        ):
            died += turn_and_die(stocked, vm, status, point if not died else "")
            if act:
                getattr(services, act)(vm=vm, by=policy("test"), now=stocked.clock())
        died += turn_and_die(stocked, vm, "", point if not died else "")
        assert died == 1 or point in UNREACHED_WITHOUT_SHELL, f"{point} was never passed"
        assert not stocked.cloud.alive()
        assert stocked.cloud.max_made_per_tag == 1


# Machines of the memory cloud answer no SSH; these are died at in tests/journeys, on real guests.
UNREACHED_WITHOUT_SHELL = (
    "part.after_call",
    "play.before_delivery",
    "setup.before",
    "setup.after",
    "watch.after_call",
)


def turn_and_die(plane: ControlPlane, vm: VM, status: str, point: str) -> int:
    """Turns until the VM rests in a status (or for 300 s), dying once at the point; the next turn has no memory of it."""
    died, until = 0, plane.clock().timestamp() + 300
    while plane.clock().timestamp() < until:
        vm.refresh_from_db(fields=["desired", "phase"])
        is_playing = not vm.sessions.filter(status=GameSession.Status.QUEUED).exists()
        if status and vm.status == status and is_playing:
            return died
        try:
            with dying_at("" if died else point):
                plane.step(4, until)
        except Died:
            died += 1
            plane.__post_init__()
    assert not status, story(vm)
    return died
