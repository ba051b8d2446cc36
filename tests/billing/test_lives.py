"""VMs in reports against a count by hand, whatever their machines did; and machines that begin, end and are folded at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain, combinations
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from accounts.models import Project
from billing.budgets.watch import zone
from billing.models import CostCentre, Subject, UsageDay
from billing.periods import Period
from billing.rating import day_of
from billing.reports import Filters, report
from billing.reports.intervals import COLUMNS, intervals
from billing.reports.spending import STAFF
from billing.services import days, hours, metering, prices
from billing.services.metering import Dimensions, Machine
from tests import world as worlds
from tests.at_once import at_once
from tests.billing.metered import BOOTS, PLAYS, RESTS, State, Till, broken
from tests.world import NOON, World

VMS = st.integers(0, 2)
PROVIDERS = st.sampled_from(["tensordock", "libvirt"])
GROUPS = ("provider", "console", "project", "user", "day")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def machines_of(filters: Filters) -> list[Subject]:
    wanted = set(CostCentre.objects.filter(filters.of()).values_list("pk", flat=True))
    machines = Subject.objects.filter(vm__isnull=False).select_related("centre")
    return [machine for machine in machines if machine.centre_id in wanted]


def by_hand(
    machines: Sequence[Subject], period: Period, group_by: Sequence[str], now: datetime
) -> dict[Any, set[UUID]]:
    """The VMs of every group: wherever one of their machines was there on one of the days."""
    found: dict[Any, set[UUID]] = defaultdict(set)
    for machine in machines:
        first = day_of(machine.started_at, period.zone)
        last = day_of(now, period.zone)
        if machine.ended_at is not None:
            last = day_of(max(machine.started_at, machine.ended_at - timedelta(microseconds=1)), period.zone)
        for day in period.each():
            if first <= day <= last:
                keys = [day if name == "day" else _value(machine.centre, name) for name in group_by]
                found[tuple(keys)].add(machine.vm)
    return found


def _value(centre: CostCentre, name: str) -> Any:
    return getattr(centre, f"{name}_id" if name in ("project", "user") else name)


def by_interval(period: Period, filters: Filters, now: datetime) -> Decimal:
    """The cost of every interval, closed or open, one by one."""
    lines = intervals(period=period, sight=STAFF, now=now, filters=filters)
    return sum((line[COLUMNS.index("cost_usd")] for line in lines), Decimal(0))


class Lives(RuleBasedStateMachine):
    """Machines come and go for a few VMs, at two providers, for three people; VMs move between projects; days are folded."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.now = NOON
        self.till = Till(world.alice, NOON)
        self.people = (world.alice, world.bob, world.charlie)
        self.projects = [Project.objects.create(name=name, owner=world.alice) for name in ("Mario", "Zelda")]
        self.vms = [uuid4() for _ in range(3)]
        self.machines: list[str] = []
        self.has_moved = False

    def teardown(self) -> None:
        found = broken()
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)
        assert found == []

    def follow(self, key: str, state: State | None, **what: Any) -> None:
        metering.follow(key=key, state=state, now=self.now, describe=lambda: self._machine(**what))

    def _machine(self, vm: UUID, provider: str, person: int, began: datetime) -> Machine:
        ids = {"payer_id": self.till.account.pk, "user_id": self.people[person].pk}
        price = prices.card(self.now).price("tensordock", "premium", "switch", None)
        return Machine(
            Dimensions(provider=provider, console="switch", preset="premium", **ids), price, began, vm
        )

    @rule(passed=st.integers(0, 60))
    def time_passes(self, passed: int) -> None:
        self.now += passed * HOUR

    @rule(vm=VMS, provider=PROVIDERS, person=st.integers(0, 2), ago=st.integers(0, 50))
    def a_machine_is_found(self, vm: int, provider: str, person: int, ago: int) -> None:
        self.machines.append(f"machine:{len(self.machines)}")
        what = {"vm": self.vms[vm], "provider": provider, "person": person, "began": self.now - ago * HOUR}
        self.follow(self.machines[-1], PLAYS, **what)

    @precondition(lambda self: self.machines)
    @rule(data=st.data(), state=st.sampled_from([None, None, PLAYS, RESTS]))
    def a_machine_is(self, data: st.DataObject, state: State | None) -> None:
        """Also one that was called gone, and is back."""
        self.follow(data.draw(st.sampled_from(self.machines)), state)

    @rule(vm=VMS, project=st.integers(0, 1))
    def a_vm_moves(self, vm: int, project: int) -> None:
        there = {"project_id": self.projects[project].pk}

        def moved(centre: CostCentre) -> Dimensions:
            return Dimensions(**{name: getattr(centre, name) for name in Dimensions.__slots__} | there)

        metering.move(vm=self.vms[vm], dimensions=moved, now=self.now)
        self.has_moved = True

    @rule(work=st.sampled_from([hours.close_hours, days.fold, days.rebuild]))
    def a_schedule_runs(self, work: Callable[[datetime], int]) -> None:
        work(self.now)

    @precondition(lambda self: self.machines)
    @rule(
        start=st.integers(-4, 40), length=st.sampled_from([1, 2, 3, 7, 20]), provider=st.just("") | PROVIDERS
    )
    def reports_say_what_was(self, start: int, length: int, provider: str) -> None:
        first = NOON.date() + start * DAY
        period, filters = Period(first, first + (length - 1) * DAY, zone()), Filters(provider=provider)
        machines, cost = machines_of(filters), by_interval(period, filters, self.now)
        for groups in chain.from_iterable(combinations(GROUPS, count) for count in range(3)):
            told = report(period=period, sight=STAFF, now=self.now, filters=filters, group_by=groups)
            known = by_hand(machines, period, groups, self.now)
            assert told.totals.vms == len(set().union(*known.values()))
            shown = {row.keys for row in told.rows}
            assert {row.keys: row.vms for row in told.rows if row.vms} == {
                keys: len(vms) for keys, vms in known.items() if keys in shown
            }
            # Money stays where it was spent, and a day without any has no row.
            assert self.has_moved or set(known) <= shown
            assert told.totals.cost_usd == cost


@pytest.mark.django_db
@pytest.mark.timeout(300)
def test_vms_are_counted_as_by_hand(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "BILLING_TIME_ZONE", "Europe/Berlin")
    run_state_machine_as_test(
        lambda: Lives(world),
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.fixture
    def till(self, transactional_db: None) -> Till:
        return Till(worlds.build().alice, NOON)

    def test_machines_of_one_vm_that_begin_all_find_each_other(self, till: Till) -> None:
        vm = uuid4()
        answers = at_once(*[lambda key=key: till.follow(key, PLAYS, NOON, vm=vm) for key in "abcdefgh"])
        assert answers == [None] * 8
        assert broken() == []
        today = Period(NOON.date(), NOON.date(), zone())
        assert report(period=today, sight=STAFF, now=NOON + HOUR, group_by=["user"]).rows[0].vms == 1

    def test_the_same_machine_is_begun_once(self, till: Till) -> None:
        assert at_once(*[lambda: till.follow("a", PLAYS, NOON, vm=uuid4())] * 8) == [None] * 8
        assert broken() == []

    def test_of_one_centre_write_the_same_days_without_waiting(self, till: Till) -> None:
        """Who ends over midnight and who changes then would wait for each other in a circle."""
        for key in "ab":
            till.follow(key, BOOTS, NOON, vm=uuid4())

        def changes() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '3s'")
            till.follow("b", RESTS, NOON + DAY)

        with transaction.atomic():
            till.follow("a", None, NOON + DAY)
            assert at_once(changes) == [None]
        assert broken() == []
        days.fold(NOON)
        sums = list(UsageDay.objects.values_list("day", "machines_begun"))
        assert sorted(sums) == [(NOON.date(), 2), (NOON.date() + DAY, 0)], "one row of each day"
        assert broken() == []

    def test_what_comes_late_to_a_day_is_in_it_whoever_folds(self, till: Till) -> None:
        late, now = [f"late:{number}" for number in range(8)], NOON + 9 * DAY
        for number, key in enumerate(late):
            till.follow(key, PLAYS, NOON + number * DAY, vm=uuid4(), console=f"console{number % 2}")
        till.follow("early", PLAYS, NOON, vm=uuid4(), console="console0")
        till.follow("early", None, NOON + 8 * DAY)
        ends = [lambda key=key: till.follow(key, None, now) for key in late]
        answers = at_once(*ends, *[lambda: days.fold(now)] * 4)
        assert [one for one in answers if isinstance(one, Exception)] == []
        assert broken() == []
        days.fold(now)
        assert broken() == []
        assert not UsageDay.objects.filter(is_folded=False, day__lt=NOON.date() + 8 * DAY).exists()
        whole = Period(NOON.date(), now.date(), zone())
        asked = {"period": whole, "sight": STAFF, "now": now}
        told = report(**asked, group_by=["user"]).totals
        assert told.cost_usd == by_interval(whole, Filters(), now) == report(**asked).totals.cost_usd
