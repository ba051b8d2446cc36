"""The same instant, from several sides: real threads, real transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.principal import Principal, policy
from emulators.archives import digest_of
from emulators.services import saves
from emulators.services.saves import Taken
from events.services import record
from tests.at_once import at_once
from tests.emulators.saving import packed
from tests.vms.control_plane import ControlPlane
from tests.waiting import is_somebody_waiting
from tests.world import Clock, World
from vms import agents, endings, services, sessions
from vms.models import VM, Attempt, GameSession, ProviderAccount, Stray
from vms.queries import events_of
from vms.reconcile import claims, loading
from vms.reconcile.acting import Actor
from vms.reconcile.apply import apply, happening
from vms.reconcile.choosing import Chooser
from vms.reconcile.loop import Reconciler
from vms.reconcile.outcome import Wait
from vms.services import Launched, Order

pytestmark = pytest.mark.django_db(transaction=True)

HERE = {"latitude": 32.7767, "longitude": -96.797}
MANY = 8


@pytest.fixture
def plane(stocked: ControlPlane) -> ControlPlane:
    return stocked


class TestTwoLaunches:
    def test_by_one_player_give_one_vm(self, plane: ControlPlane, world: World) -> None:
        def launch() -> Launched:
            return services.launch_game(
                by=Principal(user=world.alice),
                owner=world.alice,
                order=Order("switch", "zelda", **HERE),
                now=plane.now(),
            )

        launched = at_once(*[launch] * MANY)
        assert [one for one in launched if not isinstance(one, Launched)] == []
        assert len({one.vm.pk for one in launched if isinstance(one, Launched)}) == 1
        assert sum(one.is_new for one in launched if isinstance(one, Launched)) == 1
        assert VM.objects.get().sessions.count() == 1

    def test_past_the_players_row_lock_are_stopped_by_the_law(
        self, plane: ControlPlane, world: World
    ) -> None:
        made = at_once(*[lambda: VM.objects.create(owner=world.alice, console_id="switch")] * MANY)
        assert VM.objects.count() == 1
        refused = [one for one in made if isinstance(one, IntegrityError)]
        assert len(refused) == MANY - 1
        assert all(services.LAW in str(one) for one in refused)

    def test_that_meet_the_law_in_the_middle_are_answered_with_the_winner(
        self, plane: ControlPlane, world: World
    ) -> None:
        """The winner commits while the loser is between its look and its insert."""
        order, by = Order("switch", "zelda", **HERE), Principal(user=world.alice)
        is_inside, is_over = threading.Event(), threading.Event()

        def winner() -> VM:
            with transaction.atomic():
                vm = VM.objects.create(owner=world.alice, console_id="switch")
                is_inside.set()
                while not is_somebody_waiting() and not is_over.wait(0.02):
                    pass
            return vm

        def loser() -> Launched:
            is_inside.wait(20)
            try:
                return services.launch_game(by=by, owner=world.alice, order=order, now=plane.now())
            finally:
                is_over.set()

        vm, launched = at_once(winner, loser)
        assert isinstance(vm, VM)
        assert isinstance(launched, Launched), launched
        assert (launched.vm.pk, launched.is_new) == (vm.pk, False)


class TestSave:
    def test_that_is_pushed_while_a_look_brings_it_as_well_is_taken_once(
        self, plane: ControlPlane, world: World
    ) -> None:
        """The look has counted what was played on the slot, and has not come to its saves yet."""
        vm = plane.launch(world.alice)
        session = GameSession.objects.get(vm=vm)
        archive = packed({"zelda.srm": b"one moon"})
        told = {"session_id": session.pk, "base": 0, "digest": digest_of(archive), "archive": archive}
        has_counted, is_over = threading.Event(), threading.Event()

        def take() -> Taken:
            subject = str(vm.pk)
            return saves.take(slot_id=session.slot_id, subject=subject, by="test", now=plane.now(), **told)

        def look() -> Taken:
            with transaction.atomic():
                sessions.note_played(vm_id=vm.pk, played={session.pk: 5.0}, now=plane.now())
                has_counted.set()
                while not is_somebody_waiting() and not is_over.wait(0.02):
                    pass
                return take()

        def push() -> Taken:
            has_counted.wait(20)
            try:
                return take()
            finally:
                is_over.set()

        plane.clock.advance(seconds=60)
        looked, pushed = at_once(look, push)
        assert (looked, pushed) == (Taken(1, True, True), Taken(1, True, False))


class TestTimeline:
    """Events of a VM are seen in the order of their ids: else who asks `after` the last one seen would miss one for ever."""

    @pytest.mark.parametrize(
        "tell",
        [
            lambda vm, now: services.look_now(vm=vm, by=policy("test"), now=now),
            lambda vm, now: endings.end(vm=vm, by=policy("test"), action="budget_stop", told={}, now=now),
            lambda vm, now: agents.report(
                vm=vm, session_id=vm.sessions.get().pk, state="launched", at=now, exit_code=None, now=now
            ),
        ],
        ids=["look_now", "end", "report"],
    )
    def test_numbers_what_waits_for_the_row_behind_what_holds_it(
        self, plane: ControlPlane, world: World, tell: Callable[[VM, datetime], object]
    ) -> None:
        vm = plane.launch(world.alice)
        is_held, is_over = threading.Event(), threading.Event()

        def first() -> None:
            with transaction.atomic():
                VM.objects.filter(pk=vm.pk).update(name="first")
                is_held.set()
                while not is_somebody_waiting() and not is_over.wait(0.02):
                    pass
                record(happening(vm, "update", {"name": "first"}, plane.now()))

        def second() -> None:
            is_held.wait(20)
            try:
                tell(VM.objects.select_related("attempt__account").get(pk=vm.pk), plane.now())
            finally:
                is_over.set()

        before = events_of(vm).count()
        assert at_once(first, second) == [None, None]
        told = list(events_of(vm).values_list("action", flat=True))[before:]
        assert len(told) > 1
        assert told[0] == "update"


class TestChoosers:
    def choose_at_once(self, plane: ControlPlane) -> list[bool | Exception]:
        """As many reconcilers as rows, each with one row, all placing at the same moment."""
        vms = [plane.launch() for _ in range(MANY)]
        leases = [claims.claim(is_acting=False, now=plane.now(), limit=1) for _ in vms]
        subjects = [loading.subjects(lease.ids)[0] for lease in leases]
        return at_once(
            *[
                lambda subject=subject, token=lease.token: Chooser(plane.now()).run(subject, token)
                for subject, lease in zip(subjects, leases, strict=True)
            ]
        )

    def test_never_pass_the_number_of_machines(self, plane: ControlPlane) -> None:
        ProviderAccount.objects.update(max_machines=3)
        assert self.choose_at_once(plane) == [True] * MANY
        assert Attempt.objects.count() == 3
        assert VM.objects.filter(phase="requested").count() == MANY - 3

    def test_never_pass_the_price_of_an_hour(self, plane: ControlPlane) -> None:
        ProviderAccount.objects.update(max_usd_per_hour=Decimal("1.5"))
        assert self.choose_at_once(plane) == [True] * MANY
        spent = sum(Attempt.objects.values_list("usd_per_hour", flat=True))
        assert Decimal("1.0") < spent <= Decimal("1.5")

    def test_do_not_wait_for_rows_that_only_point_at_the_account(self, plane: ControlPlane) -> None:
        """A sweep that records strays holds a share of the account's row; waiting for it can close a circle."""
        plane.launch()
        lease = claims.claim(is_acting=False, now=plane.now(), limit=1)
        subject = loading.subjects(lease.ids)[0]
        is_held, is_done = threading.Event(), threading.Event()

        def sweep() -> None:
            with transaction.atomic():
                Stray.objects.create(
                    account=ProviderAccount.objects.get(), machine_id="m", tag="t", reason="unknown", first_seen_at=plane.now()
                )  # fmt: skip
                is_held.set()
                is_done.wait(20)

        def choose() -> bool:
            is_held.wait(20)
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '3s'")
            try:
                return Chooser(plane.now()).run(subject, lease.token)
            finally:
                is_done.set()

        assert at_once(sweep, choose) == [None, True]


class TestClaims:
    def test_of_many_at_once_are_disjoint_and_whole(self, plane: ControlPlane) -> None:
        ids = {plane.launch().pk for _ in range(24)}
        taken = at_once(*[lambda: claims.claim(is_acting=False, now=plane.now(), limit=6).ids] * MANY)
        flat = [one for some in taken if isinstance(some, list) for one in some]
        assert len(flat) == len(set(flat))
        rest = claims.claim(is_acting=False, now=plane.now(), limit=100).ids
        assert {*flat, *rest} == ids
        assert not set(flat) & set(rest)

    def test_come_back_when_the_lease_is_over_and_not_before(self, plane: ControlPlane) -> None:
        vm = plane.launch()
        assert claims.claim(is_acting=False, now=plane.now(), limit=9).ids == [vm.pk]
        almost = plane.now() + timedelta(seconds=claims.LEASE_S)
        assert claims.claim(is_acting=False, now=almost, limit=9).ids == []
        after = almost + timedelta(seconds=1)
        assert claims.claim(is_acting=False, now=after, limit=9).ids == [vm.pk]

    def test_that_were_lost_write_nothing(self, plane: ControlPlane) -> None:
        vm = plane.launch()
        old = claims.claim(is_acting=False, now=plane.now(), limit=1)
        subject = loading.subjects(old.ids)[0]
        plane.clock.advance(seconds=claims.LEASE_S + 1)
        new = claims.claim(is_acting=False, now=plane.now(), limit=1)
        assert not apply(subject, old.token, Wait(seconds=99, vm={"error_text": "stale"}), plane.now())
        assert claims.rest([claims.Rest(vm.pk, old.token, plane.now(), True)]) == 0
        vm.refresh_from_db()
        assert (vm.error_text, vm.lease_token, vm.is_acting) == ("", new.token, False)

    def test_of_one_token_more_than_the_bucket_holds_are_never_given(self, plane: ControlPlane) -> None:
        account = ProviderAccount.objects.get()
        ProviderAccount.objects.update(calls_per_minute=60, call_tokens=10, call_tokens_at=plane.now())
        given = at_once(*[lambda: claims.take_calls(account.pk, 2, plane.now())] * MANY)
        assert sum(one for one in given if isinstance(one, int)) == 10


class Rounds:
    """Time that passes when all have come round: who waits long for its turn of the machine has not slept for as long."""

    def __init__(self, clock: Clock, sides: int) -> None:
        self._clock, self._turns, self._lock = clock, [0] * sides, threading.Lock()

    def over(self, side: int) -> None:
        with self._lock:
            before = min(self._turns)
            self._turns[side] += 1
            if min(self._turns) > before:
                self._clock.advance(seconds=0.5)


class TestManyReconcilers:
    def test_and_actors_on_the_same_rows_send_each_order_once(self, plane: ControlPlane) -> None:
        """Two of each turn as fast as they can until every VM runs, is stopped by its player, and is gone."""
        for cloud in plane.clouds.values():
            cloud._machines.boot_s = 0
        vms = [plane.launch() for _ in range(12)]

        def settle(phase: str) -> None:
            rounds, until = Rounds(plane.clock, 4), timezone.now() + timedelta(seconds=45)

            def is_over() -> bool:
                return VM.objects.filter(phase=phase).count() == len(vms) or timezone.now() > until

            def reconcile(side: int) -> None:
                reconciler = Reconciler(
                    clock=plane.clock, open_provider=plane.open, ring=lambda _: None, threads=2
                )
                while not is_over():
                    reconciler.turn()
                    rounds.over(side)
                reconciler.close()

            def act(side: int) -> None:
                actor = Actor(clock=plane.clock, open_provider=plane.open, threads=4)
                while not is_over():
                    actor.run_batch(limit=5)
                    rounds.over(side)
                actor.close()

            sides = [partial(one, side) for side, one in enumerate((reconcile, reconcile, act, act))]
            assert at_once(*sides) == [None] * len(sides)
            assert set(VM.objects.values_list("phase", flat=True)) == {phase}

        settle("ready")
        assert plane.cloud.created_total == len(vms)
        for vm in vms:
            services.destroy(vm=vm, by=policy("test"), now=plane.now())
        settle("deleted")
        assert plane.cloud.max_made_per_tag == 1
        assert not plane.cloud.alive()
        assert not Attempt.objects.held().exists()
