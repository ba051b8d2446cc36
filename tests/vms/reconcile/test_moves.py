"""Moves: the same VM on another machine, with the same games, one charge at a time, and never left without a machine."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest

from accounts.models import Project
from accounts.principal import Principal, policy
from billing.models import Hold, Meter, Subject, UsageRecord
from billing.services import accounts, credits
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import Conflict, InsufficientCredits, InvalidState, NoCapacity, NotFound, ValidationError
from tests.billing.metered import D, broken
from tests.vms import simulation
from tests.vms.control_plane import ControlPlane, story
from tests.world import World
from vms import metering, moves, queries, services
from vms.lifecycle import Phase
from vms.models import VM, Attempt, GameSession, ProviderAccount
from vms.moves import Destination
from vms.providers.memory import Fault, MemoryCloud

BY = policy("test")
VIRGINIA = Destination(region="Manassas")
HOLLAND = Destination(region="Netherlands")


@pytest.fixture
def plane(lived: ControlPlane) -> ControlPlane:
    return lived


@pytest.fixture
def stopped(plane: ControlPlane, running: VM) -> VM:
    services.stop(vm=running, by=BY, now=plane.now())
    return plane.until(running, "stopped")


def move(plane: ControlPlane, vm: VM, to: Destination = VIRGINIA) -> None:
    moves.move(vm=vm, to=to, by=BY, now=plane.now())


def departed(plane: ControlPlane, vm: VM) -> VM:
    """Turns until the VM has left its machine."""
    while not vm.is_moving:
        plane.reconciler.turn()
        vm.refresh_from_db()
    return vm


def happened(vm: VM) -> list[str]:
    return list(Event.objects.about("vms", vm.pk).order_by("id").values_list("action", flat=True))


def charge_of(attempt: Attempt) -> Decimal:
    records = UsageRecord.objects.filter(subject__key=metering.key_of(attempt))
    return sum((one.charge_usd for one in records), D("0"))


class TestMove:
    def test_of_a_running_vm_ends_running_elsewhere_as_the_same_vm(
        self, plane: ControlPlane, running: VM
    ) -> None:
        before = Attempt.objects.get()
        move(plane, running)
        plane.turn()
        vm = plane.until(running, "running")
        after = Attempt.objects.get(pk=vm.attempt_id)
        assert (after.location_name.partition(",")[0], after.round, after.number) == ("Manassas", 2, 2)
        assert (vm.moves_from_id, vm.moves_to, vm.moves_back_to) == (None, {}, "")
        assert vm.wanted_region == "Manassas"
        plane.settle(seconds=60, step=5)
        before.refresh_from_db()
        assert before.gone_at is not None
        assert before.outcome == "won"
        assert [record.tag for record in plane.cloud.alive()] == [after.tag]
        assert VM.objects.count() == 1

    def test_of_a_stopped_vm_runs_there(self, plane: ControlPlane, stopped: VM) -> None:
        move(plane, stopped)
        vm = plane.until(stopped, "running")
        assert vm.attempt.location_name.startswith("Manassas")
        plane.settle(seconds=60, step=5)
        assert [record.tag for record in plane.cloud.alive()] == [vm.attempt.tag]

    def test_plays_on_there_what_was_played(self, plane: ControlPlane, running: VM) -> None:
        first = GameSession.objects.get()
        assert first.status == "launched"
        GameSession.objects.update(save_id="slot-2")
        move(plane, running)
        plane.turn()
        plane.until(running, "running")
        plane.settle(seconds=10)
        first.refresh_from_db()
        again = GameSession.objects.exclude(pk=first.pk).get()
        assert (first.status, again.status) == ("ended", "launched")
        assert (again.game_id, again.save_id) == (first.game_id, "slot-2")

    def test_keeps_the_old_machine_until_the_new_one_runs(self, plane: ControlPlane, running: VM) -> None:
        plane.cloud.switch_on(Fault.LOST_LATE, seconds=25)
        old = running.attempt.tag
        move(plane, running)
        departed(plane, running)
        while running.is_moving:
            assert old in {record.tag for record in plane.cloud.alive()}
            plane.turn(5)
            running.refresh_from_db()
        assert Attempt.objects.get(tag=old).closed_at is not None
        assert (plane.now() - running.phase_since).total_seconds() < 60

    def test_to_anywhere_takes_another_offer_than_the_one_it_is_on(
        self, plane: ControlPlane, running: VM
    ) -> None:
        before = running.attempt.offer_id
        move(plane, running, Destination())
        plane.turn()
        vm = plane.until(running, "running")
        assert vm.attempt.offer_id != before

    def test_goes_where_the_player_is_now(self, plane: ControlPlane, running: VM) -> None:
        move(plane, running, Destination(latitude=52.37, longitude=4.9))
        plane.turn()
        vm = plane.until(running, "running")
        assert vm.attempt.location_name.startswith("Eygelshoven")
        assert (vm.latitude, vm.longitude) == (52.37, 4.9)

    def test_tells_its_story(self, plane: ControlPlane, running: VM) -> None:
        seen = len(happened(running))
        move(plane, running)
        plane.turn()
        plane.until(running, "running")
        told = happened(running)[seen:]
        begun = ["move_asked", "session_queued", "session_ended", "move_begun", "placed"]
        assert told[:5] == begun
        assert told.index("machine_ordered") < told.index("moved") < told.index("power_on")
        asked = Event.objects.about("vms", running.pk).get(action="move_asked")
        assert (asked.actor, asked.details) == ("policy:test", {"region": "Manassas"})
        arrived = Event.objects.about("vms", running.pk).get(action="moved")
        assert arrived.details["from_location"].startswith("Joplin")
        assert arrived.details["location"].startswith("Manassas")

    def test_gives_the_machine_that_is_left_no_voice(self, plane: ControlPlane, running: VM) -> None:
        VM.objects.filter(pk=running.pk).update(agent_token_digest="of the old agent")
        running.refresh_from_db()
        bootstrap = running.agent_bootstrap.reveal()
        move(plane, running)
        plane.turn()
        vm = plane.until(running, "running")
        assert vm.agent_token_digest == ""
        assert vm.agent_bootstrap.reveal() != bootstrap
        assert vm.ssh_private_key.reveal() == running.ssh_private_key.reveal()

    def test_ends_where_it_is_on_the_way_without_leaving_a_machine(
        self, plane: ControlPlane, running: VM
    ) -> None:
        move(plane, running)
        departed(plane, running)
        for _ in range(2):
            plane.turn()
        services.destroy(vm=running, by=BY, now=plane.now())
        plane.until(running, "terminated")
        plane.settle(seconds=60, step=5)
        assert not plane.cloud.alive()
        assert not Attempt.objects.held().exists()


class TestNothingThere:
    def test_is_refused_at_the_door_and_leaves_everything_as_it_was(
        self, plane: ControlPlane, running: VM
    ) -> None:
        seen = happened(running)
        with pytest.raises(NoCapacity) as error:
            move(plane, running, Destination(region="Winnipeg"))  # whose GPU is too weak
        assert "memory" in error.value.details
        running.refresh_from_db()
        assert (running.phase, running.moves_from_id, happened(running)) == ("ready", None, seen)

    @pytest.mark.parametrize(
        "fault", [Fault.NO_CAPACITY, Fault.QUOTA_EXCEEDED, Fault.LOST_UNMADE, Fault.NEVER_RUNS]
    )
    def test_brings_a_running_vm_back_to_its_machine_and_game_and_says_why(
        self, plane: ControlPlane, running: VM, fault: Fault
    ) -> None:
        before, price = running.attempt_id, running.attempt.charge_usd_per_hour
        plane.cloud.switch_on(fault, verbs=["create"], times=None)
        move(plane, running)
        departed(plane, running)
        vm = plane.until(running, "running", step=5)
        plane.settle(seconds=10)
        assert vm.attempt_id == before
        assert (vm.wanted_region, vm.moves_from_id, vm.is_moving) == ("", None, False)
        assert vm.gaming_environment_ready
        assert vm.ip_address
        assert vm.sessions.filter(status="launched").count() == 1
        assert Hold.objects.get().amount_usd == price.quantize(D("0.000001"))
        refused = Event.objects.about("vms", vm.pk).get(action="move_refused")
        assert "memory" in refused.details["reason"]
        plane.cloud.heal()
        plane.settle(seconds=400, step=20)
        assert [record.tag for record in plane.cloud.alive()] == [vm.attempt.tag], story(vm)

    def test_leaves_a_stopped_vm_stopped(self, plane: ControlPlane, stopped: VM) -> None:
        before = stopped.attempt_id
        plane.cloud.switch_on(Fault.NO_CAPACITY, verbs=["create"])
        move(plane, stopped)
        departed(plane, stopped)
        plane.until(stopped, "stopped")
        assert (stopped.attempt_id, stopped.desired) == (before, "stopped")
        assert not Hold.objects.exists()
        plane.settle(seconds=120, step=5)
        assert stopped.attempt.tag in {record.tag for record in plane.cloud.alive()}

    def test_does_not_interrupt_for_an_offer_that_only_cools_down(
        self, plane: ControlPlane, running: VM
    ) -> None:
        """Chosen at the same moment by somebody else, and sold out."""
        move(plane, running)
        plane.cloud.switch_on(Fault.NO_CAPACITY, verbs=["create"])
        departed(plane, running)
        begun = plane.now()
        plane.until(running, "running")
        assert (plane.now() - begun).total_seconds() < 10

    def test_after_which_it_is_retried_at_the_old_wish(self, plane: ControlPlane, running: VM) -> None:
        plane.cloud.switch_on(Fault.NO_CAPACITY, verbs=["create"])
        move(plane, running)
        departed(plane, running)
        plane.until(running, "running")
        plane.cloud.vanish(running.attempt.machine_id)
        plane.until(running, "error", step=5)
        plane.clock.advance(minutes=5)
        plane.settle(seconds=5)
        services.retry(vm=running, by=BY, now=plane.now())
        vm = plane.until(running, "running")
        assert vm.attempt.location_name.startswith("Joplin")


class TestRefusals:
    @pytest.mark.parametrize(
        "phase", [Phase.REQUESTED, Phase.CREATING, Phase.BOOTING, Phase.SETTING_UP, Phase.STOPPING]
    )
    def test_name_the_state_that_does_not_fit(self, plane: ControlPlane, running: VM, phase: Phase) -> None:
        VM.objects.filter(pk=running.pk).update(phase=phase)
        running.refresh_from_db()
        with pytest.raises(InvalidState, match=f"is {running.status}; it must be running or stopped"):
            move(plane, running)

    def test_meet_the_second_of_two_requests(self, plane: ControlPlane, running: VM) -> None:
        stale = queries.find_vm(Principal(user=running.owner), str(running.pk))
        move(plane, running)
        with pytest.raises(InvalidState, match="already"):
            move(plane, stale)
        assert happened(running).count("move_asked") == 1
        assert running.sessions.count() == 2
        departed(plane, running)
        with pytest.raises(InvalidState, match="creating"):
            move(plane, running)

    def test_name_a_region_that_nobody_has(self, plane: ControlPlane, running: VM) -> None:
        with pytest.raises(ValidationError) as error:
            move(plane, running, Destination(region="Atlantis"))
        assert list(error.value.details) == ["region"]

    def test_name_a_preset_below_the_console(self, plane: ControlPlane, running: VM) -> None:
        with pytest.raises(ValidationError) as error:
            move(plane, running, Destination(preset="retro"))
        assert list(error.value.details) == ["preset"]

    def test_say_what_is_missing_to_pay_for_it(self, plane: ControlPlane, running: VM, world: World) -> None:
        account = accounts.account_of(world.alice, plane.now())
        taken = {"owner": world.alice, "usd": account.held_usd - account.balance_usd, "reason": "Test"}
        credits.change(by=Principal(user=world.sam), **taken, now=plane.now())
        with pytest.raises(InsufficientCredits):
            move(plane, running, HOLLAND)
        running.refresh_from_db()
        assert running.moves_from_id is None
        assert running.sessions.count() == 1

    def test_name_the_players_other_vm_of_that_console(
        self, plane: ControlPlane, stopped: VM, world: World
    ) -> None:
        other = services.create(
            by=BY, owner=world.alice, order=services.Order(console="switch"), now=plane.now()
        ).vm
        with pytest.raises(Conflict) as error:
            move(plane, stopped)
        assert error.value.details["vm_id"] == [str(other.pk)]

    def test_count_the_new_machine_against_a_quota_and_not_the_old_one(
        self, plane: ControlPlane, running: VM, world: World
    ) -> None:
        from tests.factories import QuotaFactory

        quota = QuotaFactory(user=world.alice, max_vms=1, max_usd_per_hour=D("0.60"))
        with pytest.raises(Conflict) as error:
            move(plane, running, HOLLAND)
        assert list(error.value.details) == ["max_usd_per_hour"]
        type(quota).objects.update(max_usd_per_hour=D("0.70"))
        move(plane, running, HOLLAND)

    def test_meet_a_console_that_is_no_longer_configured(self, plane: ControlPlane, running: VM) -> None:
        from emulators.models import EmulatorConfig

        EmulatorConfig.objects.filter(console="switch").delete()
        with pytest.raises(NotFound):
            move(plane, running)


class TestOtherWishes:
    def test_to_stop_takes_back_a_move_that_has_not_begun(self, plane: ControlPlane, running: VM) -> None:
        before = running.attempt_id
        move(plane, running)
        services.stop(vm=running, by=BY, now=plane.now())
        vm = plane.until(running, "stopped")
        services.start(vm=vm, by=BY, now=plane.now())
        plane.until(vm, "running")
        assert vm.attempt_id == before

    def test_to_start_does_not_take_back_the_move_of_a_stopped_vm(
        self, plane: ControlPlane, stopped: VM
    ) -> None:
        before = stopped.attempt_id
        move(plane, stopped)
        services.start(vm=stopped, by=BY, now=plane.now())
        plane.until(stopped, "running")
        assert stopped.attempt_id != before

    def test_of_a_policy_at_the_same_moment_do_not_leave_a_move_behind(
        self, plane: ControlPlane, running: VM
    ) -> None:
        """Nobody plays, and the loop stops it just as the move is asked: a later start is on the same machine."""
        before = running.attempt_id
        move(plane, running)
        VM.objects.filter(pk=running.pk).update(desired="stopped")
        vm = plane.until(running, "stopped")
        plane.settle(seconds=5)
        services.start(vm=vm, by=BY, now=plane.now())
        plane.until(vm, "running")
        assert vm.attempt_id == before

    def test_for_a_game_are_kept_for_the_machine_that_comes(self, plane: ControlPlane, running: VM) -> None:
        move(plane, running)
        departed(plane, running)
        plane.clock.advance(seconds=1)
        services.play(vm=running, by=BY, game_id="zelda", now=plane.now())
        plane.until(running, "running")
        plane.settle(seconds=10)
        assert running.sessions.get(status="launched").game_id == "zelda"


class TestMoney:
    def test_is_charged_for_the_time_on_each_machine_and_for_none_between(
        self, plane: ControlPlane, running: VM
    ) -> None:
        old, begun = running.attempt, running.phase_since
        plane.settle(seconds=1800, step=300)
        move(plane, running, HOLLAND)
        departed(plane, running)
        left = running.phase_since
        vm = plane.until(running, "running")
        again, new = vm.phase_since, vm.attempt
        assert Hold.objects.get().amount_usd == new.charge_usd_per_hour.quantize(D("0.000001"))
        plane.settle(seconds=1800, step=300)
        services.destroy(vm=vm, by=BY, now=plane.now())
        plane.until(vm, "terminated")
        plane.settle(seconds=60, step=5)
        ended = Event.objects.about("vms", vm.pk).get(action="ending").at

        def price(attempt: Attempt, seconds: float) -> Decimal:
            return (attempt.charge_usd_per_hour * D(str(seconds)) / 3600).quantize(D("0.000001"))

        assert charge_of(old) == price(old, (left - begun).total_seconds())
        assert charge_of(new) == price(new, (ended - again).total_seconds())
        first, second = Subject.objects.order_by("id")
        old.refresh_from_db()
        assert (first.ended_at, first.vm, second.vm) == (old.gone_at, vm.pk, vm.pk)
        assert first.ended_at > second.started_at  # both cost us for a while
        assert (Meter.objects.count(), Hold.objects.count(), broken()) == (0, 0, [])

    def test_is_put_aside_by_who_pays_now(self, stocked: ControlPlane, world: World) -> None:
        project = Project.objects.create(name="Mario", owner=world.alice)
        vm = stocked.until(stocked.launch(world.alice, project_id=project.pk), "running")
        assert Hold.objects.get().account.user == world.alice
        credits.change(by=BY, owner=project, usd=D("50"), reason="a tournament", now=stocked.now())
        move(stocked, vm)
        assert Hold.objects.get().account.project == project
        stocked.until(departed(stocked, vm), "running")
        assert broken() == []

    def test_of_a_stopped_machine_stays_that_of_a_stopped_one_until_it_is_gone(
        self, plane: ControlPlane, stopped: VM
    ) -> None:
        old = stopped.attempt
        move(plane, stopped)
        plane.until(stopped, "running")
        plane.settle(seconds=60, step=5)
        kinds = UsageRecord.objects.filter(subject__key=metering.key_of(old)).order_by("-started_at")
        assert kinds[0].kind == "stopped"
        assert kinds[0].ended_at == Attempt.objects.get(pk=old.pk).gone_at

    def test_goes_on_at_the_old_price_after_a_move_that_came_to_nothing(
        self, plane: ControlPlane, running: VM
    ) -> None:
        old, begun = running.attempt, running.phase_since
        plane.cloud.switch_on(Fault.LOST_UNMADE)
        move(plane, running, HOLLAND)
        departed(plane, running)
        left = running.phase_since
        plane.until(running, "running")
        again = running.phase_since
        plane.settle(seconds=600, step=200)
        services.destroy(vm=running, by=BY, now=plane.now())
        plane.until(running, "terminated")
        ended = Event.objects.about("vms", running.pk).get(action="ending").at
        seconds = (left - begun).total_seconds() + (ended - again).total_seconds()
        # Two windows of one running total, rounded at its marks.
        assert abs(charge_of(old) - old.charge_usd_per_hour * D(str(seconds)) / 3600) <= D("0.000001")
        assert again > left
        assert broken() == []


class TestDeath:
    @pytest.mark.parametrize("point", simulation.CRASH_POINTS)
    def test_at_any_marked_point_costs_time_and_nothing_else(
        self, plane: ControlPlane, running: VM, point: str
    ) -> None:
        self._move_and_die(plane, running, Destination(), point, after="move_asked")
        assert "moved" in happened(running)

    @pytest.mark.parametrize("point", ["apply.before", "apply.inside", "apply.after", "sweep.after_call"])
    def test_on_the_way_back_costs_time_and_nothing_else(
        self, plane: ControlPlane, running: VM, point: str
    ) -> None:
        plane.cloud.switch_on(Fault.LOST_LATE, verbs=["create"], seconds=60)
        self._move_and_die(plane, running, VIRGINIA, point, after="attempt_failed")
        assert "move_refused" in happened(running)

    def _move_and_die(
        self, plane: ControlPlane, running: VM, to: Destination, point: str, *, after: str
    ) -> None:
        move(plane, running, to)
        died = 0
        while not {"moved", "move_refused"} & set(told := happened(running)):
            is_time = not died and after in told
            try:
                with dying_at(point if is_time else ""):
                    plane.step(2, plane.clock().timestamp() + 60)
            except Died:
                died += 1
                plane.__post_init__()
        with contextlib.suppress(Died), dying_at("" if died else point):
            plane.settle(seconds=20, step=2)
        plane.__post_init__()
        plane.settle(seconds=100, step=5)
        vm = plane.until(running, "running", seconds=300, step=2)
        assert [record.tag for record in plane.cloud.alive()] == [vm.attempt.tag], story(vm)
        assert plane.cloud.max_made_per_tag == 1
        assert vm.sessions.filter(status="launched").count() == 1
        assert happened(vm).count("move_begun") == 1
        assert broken() == []


class TestAccounts:
    def test_are_left_for_another(self, plane: ControlPlane, running: VM) -> None:
        other = plane.add_account("other", MemoryCloud(boot_s=5))
        plane.settle(seconds=5)
        ProviderAccount.objects.exclude(pk=other.pk).update(is_paused=True)
        move(plane, running, Destination(provider="memory"))
        plane.turn()
        vm = plane.until(running, "running")
        assert vm.attempt.account_id == other.pk
        plane.settle(seconds=60, step=5)
        assert not plane.cloud.alive()
        assert len(plane.clouds[other.pk].alive()) == 1
