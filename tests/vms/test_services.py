"""What people may do with VMs: launches, refusals, and every act in every state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.principal import Principal, policy
from emulators.models import ProviderPreference
from events.models import Event
from gamer.errors import (
    Conflict,
    GamerError,
    InvalidState,
    NoCapacity,
    NotFound,
    Unavailable,
    ValidationError,
)
from tests.vms.control_plane import ControlPlane
from tests.world import NOON, World
from vms import installation, services
from vms.lifecycle import TERMINAL, Desired, Phase, Status
from vms.models import VM, GameSession, Offer, ProviderAccount
from vms.reconcile import claims, liveness, loading
from vms.reconcile.apply import apply
from vms.services import Launched, Order

BY = policy("test")


def order(console: str = "switch", game_id: str = "zelda", **wish: object) -> Order:
    return Order(console=console, game_id=game_id, **wish)  # type: ignore[arg-type]


def launch(plane: ControlPlane, world: World, **wish: object) -> Launched:
    by = Principal(user=world.alice)
    return services.launch_game(by=by, owner=world.alice, order=order(**wish), now=plane.clock())


def put(vm: VM, desired: Desired, phase: Phase) -> VM:
    """Moves a row to a state as if by history."""
    is_over = phase in TERMINAL
    VM.objects.filter(pk=vm.pk).update(
        desired=desired,
        phase=phase,
        error="lost" if phase is Phase.FAILED else "",
        next_look_at=None if is_over else timezone.now(),
        session_ends_at=NOON,
    )
    vm.refresh_from_db()
    return vm


def told(vm: VM) -> list[tuple[str, str]]:
    return list(Event.objects.about("vms", vm.pk).values_list("action", "actor"))


class TestLaunch:
    def test_makes_a_vm_and_queues_the_game(self, stocked: ControlPlane, world: World) -> None:
        made = launch(stocked, world)
        assert made.is_new
        assert made.session is not None
        assert (made.session.game_id, made.session.status) == ("zelda", GameSession.Status.QUEUED)
        actor = f"user:{world.alice.handle}"
        assert told(made.vm) == [("create", actor), ("session_queued", actor)]

    @pytest.mark.parametrize(
        "phase", [Phase.REQUESTED, Phase.CREATING, Phase.BOOTING, Phase.SETTING_UP, Phase.READY]
    )
    def test_goes_on_with_the_live_one(self, stocked: ControlPlane, world: World, phase: Phase) -> None:
        vm = put(launch(stocked, world).vm, Desired.RUNNING, phase)
        again = launch(stocked, world, game_id="mario")
        assert (again.vm.pk, again.is_new) == (vm.pk, False)
        assert vm.sessions.count() == 2

    def test_of_the_same_game_queues_it_once(self, stocked: ControlPlane, world: World) -> None:
        first, second = launch(stocked, world), launch(stocked, world)
        assert first.session == second.session

    def test_starts_the_stopped_one(self, stocked: ControlPlane, world: World) -> None:
        vm = put(launch(stocked, world).vm, Desired.STOPPED, Phase.STOPPED)
        again = launch(stocked, world)
        assert (again.vm.pk, again.is_new, again.vm.desired) == (vm.pk, False, Desired.RUNNING)

    @pytest.mark.parametrize(
        ("desired", "phase"),
        [
            (Desired.GONE, Phase.READY),
            (Desired.GONE, Phase.DELETING),
            (Desired.STOPPED, Phase.READY),
            (Desired.STOPPED, Phase.STOPPING),
            (Desired.RUNNING, Phase.FAILED),
            (Desired.GONE, Phase.DELETED),
        ],
    )
    def test_makes_another_beside_one_that_ends(
        self, stocked: ControlPlane, world: World, desired: Desired, phase: Phase
    ) -> None:
        vm = put(launch(stocked, world).vm, desired, phase)
        again = launch(stocked, world)
        assert again.is_new
        assert again.vm.pk != vm.pk

    def test_reuses_neither_another_console_nor_another_player(
        self, stocked: ControlPlane, world: World
    ) -> None:
        first = launch(stocked, world)
        assert launch(stocked, world, console="nes").is_new
        by = Principal(user=world.bob)
        theirs = services.launch_game(by=by, owner=world.bob, order=order(), now=stocked.clock())
        assert theirs.vm.pk != first.vm.pk

    def test_without_an_owner_is_always_new(self, stocked: ControlPlane) -> None:
        made = {
            services.launch_game(by=BY, owner=None, order=order(), now=stocked.clock()).vm.pk
            for _ in range(2)
        }
        assert len(made) == 2

    def test_that_meets_the_law_is_a_conflict_with_the_first_ones_id(
        self, stocked: ControlPlane, world: World
    ) -> None:
        """Not reusable, and still in the way: a VM wished for that is being deleted."""
        vm = put(launch(stocked, world).vm, Desired.RUNNING, Phase.DELETING)
        with pytest.raises(Conflict) as refused:
            launch(stocked, world)
        assert refused.value.details == {"vm_id": [str(vm.pk)]}


class TestCreate:
    def test_refuses_a_second_live_one(self, stocked: ControlPlane, world: World) -> None:
        by = Principal(user=world.alice)
        first = services.create(by=by, owner=world.alice, order=order(game_id=""), now=stocked.clock())
        assert first.session is None
        with pytest.raises(Conflict) as refused:
            services.create(by=by, owner=world.alice, order=order(), now=stocked.clock())
        assert refused.value.details == {"vm_id": [str(first.vm.pk)]}


class TestRefusals:
    def refused(self, plane: ControlPlane, kind: type[GamerError], **wish: object) -> GamerError:
        with pytest.raises(kind) as error:
            services.launch_game(by=BY, owner=None, order=order(**wish), now=plane.clock())
        assert not VM.objects.exists()
        return error.value

    def test_name_a_console_that_is_not_configured(self, stocked: ControlPlane) -> None:
        self.refused(stocked, NotFound, console="dreamcast")

    @pytest.mark.parametrize("preset", ["retro", "gigantic"])
    def test_name_a_preset_below_the_floor_or_unknown(self, stocked: ControlPlane, preset: str) -> None:
        error = self.refused(stocked, ValidationError, preset=preset)
        assert "preset" in error.details

    def test_hold_while_launches_are_switched_off(self, stocked: ControlPlane) -> None:
        installation.allow_launches(is_launching=False, actor="user:sam", now=stocked.clock())
        self.refused(stocked, Unavailable)

    def test_give_a_reason_per_provider_without_capacity(self, stocked: ControlPlane) -> None:
        Offer.objects.update(max_gpus=0)
        error = self.refused(stocked, NoCapacity)
        assert "has no GPU to give" in error.details["memory"][0]

    def test_say_that_an_account_may_rest_where_nobody_paused_it(self, stocked: ControlPlane) -> None:
        ProviderAccount.objects.update(failures_in_a_row=3, last_error_at=stocked.clock())
        error = self.refused(stocked, NoCapacity)
        assert "paused, rests after errors, or is over its budget" in error.details["memory"][0]

    def test_name_a_provider_without_offers(self, stocked: ControlPlane) -> None:
        assert self.refused(stocked, NoCapacity, provider="tensordock").details == {
            "tensordock": ["has no offers"]
        }
        assert "libvirt" in self.refused(stocked, NoCapacity, provider="libvirt").details

    @pytest.mark.parametrize("refreshed", ["never", "long ago"])
    def test_wait_for_offers_that_are_not_known(self, stocked: ControlPlane, refreshed: str) -> None:
        Offer.objects.all().delete()
        moment = None if refreshed == "never" else stocked.clock().replace(year=2020)
        ProviderAccount.objects.update(offers_refreshed_at=moment)
        assert services.launch_game(by=BY, owner=None, order=order(), now=stocked.clock()).is_new

    @pytest.mark.parametrize("refreshed", ["never", "long ago"])
    def test_wait_for_no_account_whose_offers_they_could_not_take(
        self, stocked: ControlPlane, refreshed: str
    ) -> None:
        Offer.objects.update(max_gpus=0)
        moment = None if refreshed == "never" else stocked.clock().replace(year=2020)
        stocked.add_account("away", kind="cloudypad_gcp", offers_refreshed_at=moment)
        self.refused(stocked, NoCapacity, provider="memory")
        preferences = ProviderPreference.objects.filter(provider="cloudypad_gcp")
        preferences.update(enabled=False)
        self.refused(stocked, NoCapacity)
        preferences.update(enabled=True)
        assert services.launch_game(by=BY, owner=None, order=order(), now=stocked.clock()).is_new


# What each act may do, by status; everywhere else it is InvalidState. `destroy` is allowed everywhere.
ALLOWED = {
    "stop": {Status.RUNNING},
    "start": {Status.STOPPED},
    "retry": {Status.ERROR},
    "extend": {Status.RUNNING},
    "look_now": set(Status) - {Status.ERROR, Status.TERMINATED},
    "destroy": set(Status),
}
STATES = [
    (Desired.RUNNING, Phase.REQUESTED),
    (Desired.RUNNING, Phase.CREATING),
    (Desired.RUNNING, Phase.BOOTING),
    (Desired.RUNNING, Phase.SETTING_UP),
    (Desired.RUNNING, Phase.READY),
    (Desired.STOPPED, Phase.READY),
    (Desired.STOPPED, Phase.STOPPING),
    (Desired.STOPPED, Phase.STOPPED),
    (Desired.GONE, Phase.READY),
    (Desired.GONE, Phase.DELETING),
    (Desired.GONE, Phase.FAILED),
    (Desired.GONE, Phase.DELETED),
]


class TestActs:
    @pytest.mark.parametrize("act", ALLOWED)
    def test_are_allowed_in_their_states_alone(self, stocked: ControlPlane, world: World, act: str) -> None:
        for desired, phase in STATES:
            vm = put(launch(stocked, world, console="nes").vm, desired, phase)
            before = len(told(vm))
            if vm.status in ALLOWED[act]:
                getattr(services, act)(vm=vm, by=BY, now=stocked.clock())
            else:
                with pytest.raises(InvalidState, match=vm.status):
                    getattr(services, act)(vm=vm, by=BY, now=stocked.clock())
                assert len(told(vm)) == before
            put(vm, Desired.GONE, Phase.DELETED)

    @pytest.mark.parametrize(
        ("act", "desired", "phase", "event", "wish"),
        [
            ("stop", Desired.RUNNING, Phase.READY, "power_off_asked", Desired.STOPPED),
            ("start", Desired.STOPPED, Phase.STOPPED, "power_on_asked", Desired.RUNNING),
            ("destroy", Desired.RUNNING, Phase.BOOTING, "delete_asked", Desired.GONE),
        ],
    )
    def test_write_the_wish_and_say_who_wished(
        self,
        stocked: ControlPlane,
        world: World,
        act: str,
        desired: Desired,
        phase: Phase,
        event: str,
        wish: Desired,
    ) -> None:
        vm = put(launch(stocked, world).vm, desired, phase)
        VM.objects.filter(pk=vm.pk).update(next_look_at=stocked.clock().replace(year=2030), is_acting=True)
        getattr(services, act)(vm=vm, by=Principal(user=world.sam), now=stocked.clock())
        vm.refresh_from_db()
        assert (vm.desired, vm.phase) == (wish, phase)
        assert (vm.next_look_at, vm.is_acting, vm.is_poked) == (stocked.clock(), False, True)
        assert told(vm)[-1] == (event, f"user:{world.sam.handle}")

    def test_decide_by_the_row_not_by_what_the_caller_loaded(
        self, stocked: ControlPlane, world: World
    ) -> None:
        stale = put(launch(stocked, world).vm, Desired.RUNNING, Phase.READY)
        put(VM.objects.get(), Desired.GONE, Phase.DELETED)
        sessions = stale.sessions.count()
        with pytest.raises(InvalidState):
            services.play(vm=stale, by=BY, game_id="mario", now=stocked.clock())
        assert stale.sessions.count() == sessions
        for act in ("stop", "extend"):
            with pytest.raises(InvalidState):
                getattr(services, act)(vm=stale, by=BY, now=stocked.clock())

    def test_destroy_is_told_once(self, stocked: ControlPlane, world: World) -> None:
        vm = launch(stocked, world).vm
        for _ in range(3):
            services.destroy(vm=vm, by=BY, now=stocked.clock())
        assert [action for action, _ in told(vm)].count("delete_asked") == 1

    def test_extend_moves_the_end_by_an_hour(self, stocked: ControlPlane, world: World) -> None:
        vm = put(launch(stocked, world).vm, Desired.RUNNING, Phase.READY)
        now = stocked.clock()
        VM.objects.update(session_ends_at=now + timedelta(minutes=5))
        assert services.extend(vm=vm, by=BY, now=now) == now + timedelta(minutes=65)

    def test_extend_moves_it_no_further_away_than_at_the_start(
        self, stocked: ControlPlane, world: World
    ) -> None:
        vm = put(launch(stocked, world).vm, Desired.RUNNING, Phase.READY)
        now = stocked.clock()
        latest = now + timedelta(hours=vm.max_session_hours)
        VM.objects.update(session_ends_at=latest - timedelta(minutes=90))
        told_ends = [services.extend(vm=vm, by=BY, now=now) for _ in range(2)]
        assert told_ends == [latest - timedelta(minutes=30), latest]
        with pytest.raises(InvalidState, match=f"{vm.max_session_hours} more hours"):
            services.extend(vm=vm, by=BY, now=now)
        vm.refresh_from_db()
        assert vm.session_ends_at == latest

    def test_extend_adds_to_now_where_the_end_has_passed(self, stocked: ControlPlane, world: World) -> None:
        vm = put(launch(stocked, world).vm, Desired.RUNNING, Phase.READY)
        now = stocked.clock()
        VM.objects.update(session_ends_at=now - timedelta(hours=3))
        assert services.extend(vm=vm, by=BY, now=now) == now + services.EXTEND_BY

    def test_extend_is_not_lost_to_a_look_that_found_the_time_over(
        self, stocked: ControlPlane, world: World
    ) -> None:
        """The reconciler has read the row and decided; the player is faster with the writing."""
        vm = put(launch(stocked, world).vm, Desired.RUNNING, Phase.READY)
        now = stocked.clock()
        VM.objects.update(session_ends_at=now, next_look_at=now)
        lease = claims.claim(is_acting=False, now=now, limit=1)
        (subject,) = loading.subjects(lease.ids)
        over = liveness.check(subject, now)
        assert over is not None
        until = services.extend(vm=vm, by=BY, now=now)
        assert not apply(subject, lease.token, over, now)
        vm.refresh_from_db()
        assert (vm.desired, vm.session_ends_at) == (Desired.RUNNING, until)
        assert "session_over" not in [action for action, _ in told(vm)]

    def test_retry_holds_while_launches_are_switched_off(self, stocked: ControlPlane, world: World) -> None:
        vm = put(launch(stocked, world).vm, Desired.GONE, Phase.FAILED)
        installation.allow_launches(is_launching=False, actor="user:sam", now=stocked.clock())
        with pytest.raises(Unavailable):
            services.retry(vm=vm, by=BY, now=stocked.clock())
        vm.refresh_from_db()
        assert (vm.phase, vm.round) == (Phase.FAILED, 1)

    @pytest.mark.parametrize("act", ["start", "retry"])
    def test_are_a_conflict_beside_a_live_one(self, stocked: ControlPlane, world: World, act: str) -> None:
        state = (Desired.STOPPED, Phase.STOPPED) if act == "start" else (Desired.GONE, Phase.FAILED)
        old = put(launch(stocked, world).vm, Desired.GONE, Phase.DELETING)
        live = launch(stocked, world).vm
        put(old, *state)
        with pytest.raises(Conflict) as refused:
            getattr(services, act)(vm=old, by=BY, now=stocked.clock())
        assert refused.value.details == {"vm_id": [str(live.pk)]}
        old.refresh_from_db()
        assert old.phase == state[1]

    def test_retry_begins_a_new_round_and_asks_for_the_game_again(
        self, stocked: ControlPlane, world: World
    ) -> None:
        vm = put(launch(stocked, world).vm, Desired.GONE, Phase.FAILED)
        vm.sessions.update(status=GameSession.Status.ENDED)
        services.retry(vm=vm, by=BY, now=stocked.clock())
        vm.refresh_from_db()
        assert (vm.phase, vm.desired, vm.round, vm.error) == (Phase.REQUESTED, Desired.RUNNING, 2, "")
        assert vm.sessions.filter(status=GameSession.Status.QUEUED).count() == 1


class TestSessions:
    def test_start_the_idle_clock_again(self, stocked: ControlPlane, world: World) -> None:
        vm = put(launch(stocked, world).vm, Desired.RUNNING, Phase.READY)
        VM.objects.filter(pk=vm.pk).update(last_activity=None)
        services.play(vm=vm, by=BY, game_id="mario", now=stocked.clock())
        vm.refresh_from_db()
        assert vm.last_activity == stocked.clock()

    @pytest.mark.parametrize(("desired", "phase"), STATES)
    def test_are_queued_only_on_a_vm_that_runs_or_will(
        self, stocked: ControlPlane, world: World, desired: Desired, phase: Phase
    ) -> None:
        vm = put(launch(stocked, world).vm, desired, phase)
        if desired is Desired.RUNNING:
            assert services.play(vm=vm, by=BY, game_id="mario", now=stocked.clock()).game_id == "mario"
        else:
            with pytest.raises(InvalidState):
                services.play(vm=vm, by=BY, game_id="mario", now=stocked.clock())

    @pytest.mark.parametrize(("desired", "phase"), STATES)
    def test_launch_on_needs_a_running_vm(
        self, stocked: ControlPlane, world: World, desired: Desired, phase: Phase
    ) -> None:
        vm = put(launch(stocked, world).vm, desired, phase)
        if vm.status is Status.RUNNING:
            services.launch_on(vm=vm, by=BY, game_id="mario", now=stocked.clock())
        else:
            with pytest.raises(InvalidState):
                services.launch_on(vm=vm, by=BY, game_id="mario", now=stocked.clock())

    def test_end_at_once_before_the_machine_knows_of_them(self, stocked: ControlPlane, world: World) -> None:
        session = launch(stocked, world).session
        for _ in range(2):
            services.end_session(session=session, by=BY, now=stocked.clock())
        session.refresh_from_db()
        assert session.status == GameSession.Status.ENDED
        assert [action for action, _ in told(session.vm)].count("session_end") == 1

    def test_are_ended_by_the_machine_once_it_knows_of_them(
        self, stocked: ControlPlane, world: World
    ) -> None:
        """Also when the caller loaded the VM before it was ready."""
        made = launch(stocked, world)
        session = GameSession.objects.select_related("vm").get(pk=made.session.pk)
        put(made.vm, Desired.RUNNING, Phase.READY)
        for _ in range(2):
            services.end_session(session=session, by=BY, now=stocked.clock())
        session.refresh_from_db()
        assert (session.status, session.is_end_wanted) == (GameSession.Status.QUEUED, True)
        assert [action for action, _ in told(session.vm)].count("session_end") == 1


class TestLaws:
    """What the database itself refuses, whoever writes."""

    @pytest.mark.parametrize(
        ("law", "changes"),
        [
            ("vm_position_whole_and_on_earth", {"latitude": 91.0, "longitude": 0.0}),
            ("vm_position_whole_and_on_earth", {"latitude": float("nan"), "longitude": 0.0}),
            ("vm_position_whole_and_on_earth", {"latitude": 1.0, "longitude": None}),
            ("vm_auto_stop_timeout", {"auto_stop_timeout": 59}),
            ("vm_auto_stop_timeout", {"auto_stop_timeout": 86_401}),
            ("vm_looked_at_until_terminal", {"next_look_at": None}),
            ("vm_looked_at_until_terminal", {"phase": Phase.DELETED}),
            ("vm_error_ends_failed", {"phase": Phase.DELETED, "next_look_at": None, "error": "lost"}),
        ],
    )
    def test_hold_for_every_row(
        self, stocked: ControlPlane, world: World, law: str, changes: dict[str, object]
    ) -> None:
        vm = launch(stocked, world).vm
        with pytest.raises(IntegrityError, match=law), transaction.atomic():
            VM.objects.filter(pk=vm.pk).update(**changes)

    @pytest.mark.parametrize("phase", [one for one in Phase if one not in TERMINAL])
    def test_allow_one_wished_for_vm_per_player_and_console(
        self, stocked: ControlPlane, world: World, phase: Phase
    ) -> None:
        put(launch(stocked, world).vm, Desired.RUNNING, phase)
        with pytest.raises(IntegrityError, match=services.LAW), transaction.atomic():
            VM.objects.create(owner=world.alice, console_id="switch")
        VM.objects.create(owner=world.alice, console_id="switch", desired=Desired.STOPPED)
        VM.objects.create(owner=world.bob, console_id="switch")
        VM.objects.create(owner=None, console_id="switch")
        VM.objects.create(owner=None, console_id="switch")

    def test_know_no_machine_of_an_order_that_was_never_sent(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(), "running")
        with pytest.raises(IntegrityError, match="attempt_sent_before_machine"), transaction.atomic():
            vm.attempts.update(sent_at=None)
