"""What the reconciler's life of a VM costs and charges: orders, retries, lost machines, strays, stops, and empty accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from accounts.models import Project
from accounts.principal import Principal, policy
from billing.models import CreditAccount, Hold, Meter, Subject, UsageRecord
from billing.services import accounts, credits, days, hours, seeding
from events.models import Event
from gamer.crash import Died, dying_at
from gamer.errors import InsufficientCredits
from tests.billing.metered import D, broken
from tests.log_lines import written
from tests.vms.control_plane import DALLAS, ControlPlane
from tests.world import World
from vms import discovery, endings, metering, moves, running_out, services
from vms.lifecycle import Phase
from vms.models import VM, Attempt, Installation, Offer, ProviderAccount, Stray
from vms.providers import registry
from vms.providers.memory import Fault

pytestmark = pytest.mark.django_db
BY = policy("test")


@pytest.fixture
def plane(world: World, stocked: ControlPlane) -> ControlPlane:
    return stocked


@pytest.fixture
def alices(plane: ControlPlane, world: World) -> CreditAccount:
    return accounts.account_of(world.alice, plane.now())


def free(account: CreditAccount) -> Decimal:
    account.refresh_from_db()
    return account.available_usd


def charge(vm: VM) -> Decimal:
    return sum((one.charge_usd for one in UsageRecord.objects.filter(subject__vm=vm.pk)), D("0"))


def cost(vm: VM) -> Decimal:
    return sum((one.cost_usd for one in UsageRecord.objects.filter(subject__vm=vm.pk)), D("0"))


def until_it_boots(plane: ControlPlane, vm: VM) -> None:
    while vm.phase != Phase.BOOTING:
        plane.turn()
        vm.refresh_from_db()


def end(plane: ControlPlane, vm: VM) -> None:
    services.destroy(vm=vm, by=BY, now=plane.now())
    plane.until(vm, "terminated")


class TestAGame:
    def test_is_charged_from_ready_until_it_ends_at_the_price_it_was_sold_for(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        vm = plane.launch(world.alice)
        plane.until(vm, "running")
        begun, price = vm.phase_since, vm.attempt.charge_usd_per_hour
        assert price == vm.attempt.usd_per_hour
        assert free(alices) == D("5") - price.quantize(D("0.000001"))
        plane.settle(seconds=3600, step=600)
        services.destroy(vm=vm, by=BY, now=plane.now())
        plane.until(vm, "terminated")
        ended = Event.objects.about("vms", vm.pk).get(action="ending").at
        seconds = D(str((ended - begun).total_seconds()))
        assert charge(vm) == (price * seconds / 3600).quantize(D("0.000001"))
        assert charge(vm) < cost(vm)  # booting and deleting are ours
        assert free(alices) == D("5") - charge(vm)
        assert (Hold.objects.count(), Meter.objects.count(), broken()) == (0, 0, [])

    def test_costs_us_from_the_order_to_the_proof(self, plane: ControlPlane, world: World) -> None:
        vm = plane.launch(world.alice)
        plane.until(vm, "running")
        end(plane, vm)
        attempt = Attempt.objects.get()
        subject = Subject.objects.get()
        assert (subject.started_at, subject.ended_at) == (attempt.sent_at, attempt.gone_at)
        assert (subject.price_source, subject.vm) == ("quote", vm.pk)

    @pytest.mark.parametrize("kind", sorted(registry.KINDS))
    def test_costs_what_was_quoted_and_shown_whoever_sells_it(
        self, plane: ControlPlane, world: World, kind: str
    ) -> None:
        ProviderAccount.objects.update(kind=kind)
        quoted = discovery.recommend(console="switch", **DALLAS, limit=1, now=plane.now()).usd_per_hour
        vm = plane.until(plane.launch(world.alice), "running")
        # Whatever is asked there from now on.
        Offer.objects.update(usd_per_gpu=F("usd_per_gpu") * 2)
        plane.settle(seconds=3600, step=600)
        subject = Subject.objects.get()
        assert subject.cost_usd_per_hour == subject.charge_usd_per_hour == vm.attempt.usd_per_hour
        assert float(subject.cost_usd_per_hour) == pytest.approx(quoted)
        assert subject.price_source == "quote"

    def test_stopped_is_not_charged_and_still_costs(self, plane: ControlPlane, world: World) -> None:
        vm = plane.launch(world.alice)
        plane.until(vm, "running")
        services.stop(vm=vm, by=BY, now=plane.now())
        plane.until(vm, "stopped")
        assert not Hold.objects.exists()
        paid, spent = charge(vm), cost(vm)
        plane.settle(seconds=3600, step=600)
        services.start(vm=vm, by=BY, now=plane.now())
        assert Hold.objects.get().vm == vm.pk
        plane.until(vm, "running")
        assert charge(vm) == paid
        assert cost(vm) > spent
        kinds = UsageRecord.objects.filter(subject__vm=vm.pk).order_by("started_at")
        assert [one.kind for one in kinds if one.kind == "stopped"] != []
        end(plane, vm)
        assert broken() == []

    def test_that_nobody_owns_is_the_houses(self, plane: ControlPlane) -> None:
        vm = plane.launch()
        plane.until(vm, "running")
        assert not Hold.objects.exists()
        plane.settle(seconds=600, step=200)
        end(plane, vm)
        assert charge(vm) > 0
        assert Subject.objects.get().centre.payer.code == "unowned"
        assert broken() == []


class TestAStart:
    @pytest.mark.parametrize("act", ["start", "move"])
    def test_is_charged_to_whom_it_is_put_aside_by(
        self, plane: ControlPlane, world: World, alices: CreditAccount, act: str
    ) -> None:
        """Its project got an account while it was stopped, and pays from now on; a move that is refused changes nothing of that."""
        project = Project.objects.create(name="Mario", owner=world.alice)
        vm = plane.until(plane.launch(world.alice, project_id=project.pk), "running")
        if act == "start":
            services.stop(vm=vm, by=BY, now=plane.now())
            plane.until(vm, "stopped")
        credits.change(by=BY, owner=project, usd=D("50"), reason="a tournament", now=plane.now())
        if act == "start":
            services.start(vm=vm, by=BY, now=plane.now())
        else:
            plane.cloud.switch_on(Fault.NO_CAPACITY, verbs=["create"], times=None)
            moves.move(vm=vm, to=moves.Destination(region="Manassas"), by=BY, now=plane.now())
        plane.turn()
        left = alices_balance(alices)
        plane.until(vm, "running")
        plane.settle(seconds=600, step=200)
        assert Hold.objects.get().account.project == project
        assert Meter.objects.get().centre.payer.project == project
        end(plane, vm)
        assert (alices_balance(alices), broken()) == (left, [])


class TestALaunch:
    def test_put_into_a_project_while_it_is_ordered_is_the_projects(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        project = Project.objects.create(name="Mario", owner=world.alice)
        credits.change(by=BY, owner=project, usd=D("50"), reason="a tournament", now=plane.now())
        vm = plane.launch(world.alice)
        plane.reconciler.turn()
        # As the actor holds it while the order is under way.
        ordering = VM.objects.select_related("attempt__account").get(pk=vm.pk)
        assert ordering.attempt is not None
        services.change(vm=vm, by=Principal(user=world.alice), now=plane.now(), project_id=project.pk)
        metering.follow(ordering, ordering.attempt, plane.now())
        centre = Subject.objects.get().centre
        assert (centre.project_id, centre.payer.project) == (project.pk, project)
        plane.until(vm, "running")
        plane.settle(seconds=600, step=200)
        end(plane, vm)
        assert (free(alices), broken()) == (D("5"), [])

    def test_without_an_hours_credit_is_refused_and_leaves_nothing(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        by = Principal(user=world.sam)
        credits.change(by=by, owner=world.alice, usd=D("-4.9"), reason="Test", now=plane.now())
        with pytest.raises(InsufficientCredits) as error:
            plane.launch(world.alice)
        assert set(error.value.details) == {"needed_usd", "available_usd", "missing_usd", "account"}
        assert (VM.objects.count(), free(alices)) == (0, D("0.1"))

    def test_that_never_becomes_ready_costs_the_player_nothing(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        vm = plane.launch(world.alice)
        until_it_boots(plane, vm)
        assert Hold.objects.exists()
        end(plane, vm)
        assert (charge(vm), free(alices)) == (D("0"), D("5"))
        assert cost(vm) > 0
        assert broken() == []

    def test_tried_again_is_held_for_again(self, plane: ControlPlane, world: World) -> None:
        vm = plane.launch(world.alice)
        until_it_boots(plane, vm)
        plane.cloud.vanish(vm.attempt.machine_id)
        refusing = plane.cloud.switch_on(Fault.REJECTED, times=None)
        plane.until(vm, "error")
        plane.cloud.switch_off(refusing)
        Offer.objects.update(cools_until=None)
        assert not Hold.objects.exists()
        services.retry(vm=vm, by=BY, now=plane.now())
        assert Hold.objects.exists()
        plane.until(vm, "running")
        end(plane, vm)
        assert broken() == []

    def test_tried_again_without_a_quote_is_held_for_by_the_rate_card(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        """As a launch is that nobody could quote: else who has nothing at all is let in."""
        seeding.seed(plane.now())
        vm = plane.launch(world.alice)
        end(plane, vm)
        VM.objects.filter(pk=vm.pk).update(phase=Phase.FAILED, error="lost", quoted_usd_per_hour=None)
        for usd in (-free(alices), D("2")):
            credits.change(by=BY, owner=world.alice, usd=usd, reason="Test", now=plane.now())
            if usd < 0:
                with pytest.raises(InsufficientCredits):
                    services.retry(vm=vm, by=BY, now=plane.now())
        services.retry(vm=vm, by=BY, now=plane.now())
        assert Hold.objects.get().amount_usd == D("1.56")

    def test_given_up_for_the_next_offer_holds_the_new_price_and_costs_twice_for_a_while(
        self, plane: ControlPlane, world: World
    ) -> None:
        vm = plane.launch(world.alice)
        until_it_boots(plane, vm)
        VM.objects.filter(pk=vm.pk).update(phase_since=plane.now() - timedelta(hours=1))
        plane.until(vm, "running")
        old, new = Subject.objects.order_by("id")
        assert old.ended_at > new.started_at
        assert Hold.objects.get().amount_usd == new.charge_usd_per_hour
        end(plane, vm)
        assert {one.subject_id for one in UsageRecord.objects.filter(charge_usd__gt=0)} == {new.pk}
        assert broken() == []


class TestTheDatabaseAndTheRows:
    def test_hold_after_a_death_at_any_point_of_writing(self, plane: ControlPlane, world: World) -> None:
        vm = plane.launch(world.alice)
        for point in ("apply.before", "apply.inside", "apply.after"):
            for _ in range(2):
                with dying_at(point):
                    try:
                        plane.turn()
                    except Died:
                        plane.clock.advance(seconds=31)
        plane.until(vm, "running")
        plane.settle(seconds=3700, step=600)
        for point in ("hours.closed", "hours.inside", "hours.after"):
            with dying_at(point), pytest.raises(Died):
                hours.close_hours(plane.now())
            plane.clock.advance(hours=1)
        hours.close_hours(plane.now())
        end(plane, vm)
        assert broken() == []

    def test_are_brought_together_for_machines_from_before_there_were_meters(
        self, plane: ControlPlane, world: World
    ) -> None:
        vm = plane.launch(world.alice)
        plane.until(vm, "running")
        last = UsageRecord.objects.latest("ended_at").ended_at
        Meter.objects.all().delete()
        Subject.objects.update(key="another machine", ended_at=last)
        days.rebuild(plane.now())
        assert [metering.repair(plane.now()), metering.repair(plane.now())] == [1, 0]
        meter = Meter.objects.get()
        assert (meter.is_charged, meter.since) == (True, plane.now())
        end(plane, vm)
        assert broken() == []


class TestMeters:
    def test_are_compared_with_machines_that_are_there_whatever_was_before(
        self, plane: ControlPlane, world: World
    ) -> None:
        """Neither the machines of years nor their meters' rows are read each hour."""
        vm = plane.until(plane.launch(world.alice), "running")
        attempt = vm.attempt
        assert attempt is not None
        past = {"sent_at": plane.now(), "gone_at": plane.now(), "created_at": plane.now()}
        like = {
            name: getattr(attempt, name)
            for name in ("account", "preset", "gpus", "vcpus", "ram_gb", "disk_gb", "usd_per_hour")
        }
        old = Attempt.objects.bulk_create(
            Attempt(vm=vm, number=number, tag=f"old-{number}", machine_id=f"old-{number}", **past, **like)
            for number in range(1000, 4000)
        )
        centre = Subject.objects.get().centre
        kept = {"centre": centre, "started_at": plane.now(), "ended_at": plane.now()}
        prices = {"cost_usd_per_hour": 1, "stopped_usd_per_hour": 1, "charge_usd_per_hour": 1}
        Subject.objects.bulk_create(Subject(key=metering.key_of(one), **kept, **prices) for one in old)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE vms_attempt, billing_subject, billing_meter")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {metering.DRIFTED}", [list(metering.CHARGED)])
            (plan,) = cursor.fetchone()[0]
        assert max(rows_read(plan["Plan"])) < 10
        assert metering.repair(plane.now()) == 0
        Attempt.objects.filter(pk=attempt.pk).update(gone_at=plane.now())
        assert metering.repair(plane.now()) == 1
        assert not Meter.objects.exists()


def rows_read(node: dict[str, Any]) -> Iterator[int]:
    """What each step of a plan has read or thrown away."""
    yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for one in node.get("Plans", ()):
        yield from rows_read(one)


class TestAStray:
    def test_is_metered_at_what_the_vendor_asks_and_charged_to_nobody(self, plane: ControlPlane) -> None:
        vm = plane.launch()
        plane.until(vm, "running")
        VM.objects.filter(pk=vm.pk).update(attempt=None, phase=Phase.DELETED, next_look_at=None)
        Attempt.objects.all().delete()
        plane.settle(seconds=1500, step=60)
        stray = Stray.objects.get()
        assert stray.gone_at is not None
        subject = Subject.objects.get(key=f"stray:{stray.pk}")
        assert (subject.started_at, subject.ended_at) == (stray.first_seen_at, stray.gone_at)
        record = UsageRecord.objects.filter(subject=subject).first()
        assert record.cost_usd_per_hour == stray.usd_per_hour
        assert record.charge_usd == 0


class TestAnEmptyAccount:
    def test_ends_its_games_within_a_look_after_a_warning(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        vm = plane.launch(world.alice)
        plane.until(vm, "running")
        begun, price = vm.phase_since, vm.attempt.charge_usd_per_hour
        by = Principal(user=world.sam)
        credits.change(by=by, owner=world.alice, usd=-free(alices), reason="Test", now=plane.now())
        ends = begun + timedelta(hours=float(alices_balance(alices) / price))
        plane.clock.now = ends - timedelta(minutes=10)
        plane.turn()
        plane.turn()
        assert Event.objects.get(action="credit_low").owner_id == world.alice.pk
        plane.clock.now = ends - timedelta(seconds=2)
        plane.settle(seconds=62)
        vm.refresh_from_db()
        assert vm.desired == "stopped"
        at = Event.objects.about("vms", vm.pk).get(action="credit_exhausted").at
        assert ends <= at <= ends + timedelta(seconds=60)
        plane.until(vm, "stopped")
        assert broken() == []

    def test_ends_them_for_good_where_a_stopped_machine_is_dear(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        vm = plane.launch(world.alice)
        plane.until(vm, "running")
        Attempt.objects.update(stopped_usd_per_hour=F("usd_per_hour"))
        plane.clock.advance(days=1)
        Installation.objects.update(credit_look_at=plane.now())
        VM.objects.update(session_ends_at=plane.now() + timedelta(days=1))
        plane.turn()
        vm.refresh_from_db()
        assert vm.desired == "gone"

    def test_is_warned_of_in_the_log_and_no_other_is(
        self, plane: ControlPlane, world: World, alices: CreditAccount, caplog: pytest.LogCaptureFixture
    ) -> None:
        plane.until(plane.launch(world.alice), "running")
        running_out.look(plane.now())
        assert "out of credit" not in caplog.text
        running_out.look(plane.now() + timedelta(days=1))
        assert f"out of credit accounts=[{alices.pk}]" in caplog.text

    def test_leaves_those_alone_who_play_on_account(self, plane: ControlPlane, world: World) -> None:
        vm = plane.launch(world.sam)
        plane.until(vm, "running")
        plane.clock.advance(hours=7)
        plane.settle(seconds=62, step=2)
        vm.refresh_from_db()
        assert vm.desired == "running"

    def test_is_whose_meters_charge_and_not_who_put_credit_aside_at_the_launch(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        """The project got an account while its machine was ordered: it pays, and Alice's hold stays hers."""
        theirs, own = launched_before_its_project_had_credit(plane, world), plane.launch(world.alice, "snes")
        plane.until(theirs, "running")
        plane.until(own, "running")
        assert {one.account for one in Hold.objects.all()} == {alices}
        plane.clock.advance(hours=float(alices_balance(alices) / own.attempt.charge_usd_per_hour) + 1)
        assert running_out.look(plane.now()) == 1
        theirs.refresh_from_db()
        own.refresh_from_db()
        assert (theirs.desired, own.desired) == ("running", "stopped")
        plane.clock.advance(days=90)
        assert running_out.look(plane.now()) == 1
        theirs.refresh_from_db()
        assert theirs.desired == "stopped"

    def test_ends_what_is_still_being_made(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        plane.until(plane.launch(world.alice), "running")
        made = plane.launch(world.alice, "snes")
        assert running_out.look(plane.now() + timedelta(days=1)) == 2
        made.refresh_from_db()
        assert (made.phase, made.desired) == ("requested", "gone")

    def test_has_so_many_ended_by_one_look_and_the_rest_by_the_next(
        self, plane: ControlPlane, world: World, alices: CreditAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for console in ("switch", "snes", "nes"):
            plane.until(plane.launch(world.alice, console), "running")
        plane.clock.advance(days=1)
        monkeypatch.setattr(endings, "AT_ONCE", 2)
        assert [running_out.look(plane.now()) for _ in range(3)] == [2, 1, 0]
        assert not VM.objects.filter(desired="running").exists()

    def test_has_no_secret_opened_for_it(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        plane.until(plane.launch(world.alice), "running")
        with CaptureQueriesContext(connection) as asked:
            assert running_out.look(plane.now() + timedelta(days=1)) == 1
        assert not [
            one["sql"] for one in asked if "_private_key" in one["sql"] or "credentials" in one["sql"]
        ]


def launched_before_its_project_had_credit(plane: ControlPlane, world: World) -> VM:
    project = Project.objects.create(name="Mario", owner=world.alice)
    vm = plane.launch(world.alice, project_id=project.pk)
    credits.change(by=BY, owner=project, usd=D("500"), reason="a tournament", now=plane.now())
    return vm


def alices_balance(account: CreditAccount) -> Decimal:
    account.refresh_from_db()
    return account.balance_usd


class TestTheLook:
    def test_is_one_reconcilers_and_survives_a_clock_that_went_back(self, plane: ControlPlane) -> None:
        now = plane.clock.advance(minutes=5)
        assert [running_out.take_turn(now), running_out.take_turn(now)] == [True, False]
        assert running_out.take_turn(now - timedelta(days=1))

    def test_warns_of_accounts_only_when_some_are_empty(
        self, plane: ControlPlane, world: World, alices: CreditAccount
    ) -> None:
        plane.until(plane.launch(world.alice), "running")
        with written("vms.running_out") as log:
            assert running_out.look(plane.now()) == 0
        assert log.lines == []
        plane.clock.advance(days=1)
        with written("vms.running_out") as log:
            assert running_out.look(plane.now()) == 1
        (line,) = log.lines
        assert f"accounts=[{alices.pk}]" in line["event"]
