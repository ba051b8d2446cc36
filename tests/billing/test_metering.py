"""What a machine costs and what its player pays: the accounting stories."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.db import Error, connection, connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing.models import (
    CostCentre,
    CreditAccount,
    Entry,
    Leg,
    Meter,
    Subject,
    Takeover,
    UsageDay,
    UsageRecord,
)
from billing.services import accounts, days, hours, metering
from billing.services.metering import State
from tests.billing.metered import BOOTS, PLAYS, RESTS, RUNNING, STOPPED, D, Till, broken, records
from tests.waiting import eventually
from tests.world import NOON, World


@pytest.fixture
def till(world: World) -> Till:
    return Till(world.alice, NOON)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


class TestEightAndAHalfHours:
    def test_of_switch_on_tensordocks_rate_card_cost_13_26(self, till: Till) -> None:
        till.follow("a", BOOTS, at(0))
        till.follow("a", PLAYS, at(3))
        till.follow("a", None, at(3 + 510))
        assert till.charge("a") == D("13.26")
        assert till.balance == D("5") - D("13.26")
        assert broken() == []

    def test_are_the_same_with_hours_closed_meanwhile(self, till: Till) -> None:
        till.follow("a", BOOTS, at(0))
        till.follow("a", PLAYS, at(3))
        for hour in range(1, 9):
            hours.close_hours(at(60 * hour + hour))
        till.follow("a", None, at(3 + 510))
        assert till.charge("a") == D("13.26")
        assert broken() == []


class TestALaunch:
    def test_that_never_becomes_ready_costs_the_player_nothing_and_us_its_time(self, till: Till) -> None:
        till.follow("a", BOOTS, at(0))
        till.follow("a", None, at(30))
        assert (till.cost("a"), till.charge("a"), till.balance) == (D("0.78"), D("0"), D("5"))
        assert not Entry.objects.filter(kind=Entry.Kind.USAGE).exists()

    def test_is_charged_from_ready_to_the_end_of_stopping(self, till: Till) -> None:
        till.follow("a", BOOTS, at(0))
        till.follow("a", PLAYS, at(10))
        till.follow("a", PLAYS, at(40))  # STOPPING
        till.follow("a", RESTS, at(45))
        till.follow("a", BOOTS, at(100))
        till.follow("a", PLAYS, at(105))
        till.follow("a", BOOTS, at(165))  # DELETING
        till.follow("a", None, at(170))
        assert till.charge("a") == D("1.56") * 95 / 60
        assert till.cost("a") == D("1.56") * 170 / 60
        assert broken() == []

    def test_costs_less_while_stopped_where_the_vendor_says_so(self, till: Till) -> None:
        till.follow("a", PLAYS, at(0))
        till.follow("a", State(STOPPED, stopped_usd_per_hour=D("0.12")), at(60))
        till.follow("a", None, at(120))
        assert (till.cost("a"), till.charge("a")) == (D("1.68"), D("1.56"))
        assert [one.kind for one in records("a")] == [RUNNING, STOPPED]

    def test_heard_of_late_is_charged_from_the_day_it_was_heard_of(self, till: Till) -> None:
        till.follow("a", PLAYS, at(30), started_at=at(0))
        till.follow("a", None, at(60))
        assert (till.cost("a"), till.charge("a")) == (D("1.56"), D("0.78"))

    def test_of_a_free_host_counts_its_hours(self, till: Till) -> None:
        till.follow("a", PLAYS, at(0), provider="libvirt")
        till.follow("a", None, at(90))
        days.fold(NOON)
        day = UsageDay.objects.get()
        assert (day.charged_us, day.charge_usd) == (90 * 60 * 10**6, D("0"))


class TestTwoMachines:
    def test_of_one_vm_cost_twice_and_are_charged_once(self, till: Till) -> None:
        till.follow("old", PLAYS, at(0))
        till.follow("old", BOOTS, at(30))  # given up, not yet proven gone
        till.follow("new", BOOTS, at(30))
        till.follow("new", PLAYS, at(35))
        till.follow("old", None, at(60))
        till.follow("new", None, at(60))
        assert till.cost("old") + till.cost("new") == D("1.56") + D("0.78")
        assert till.charge("old") + till.charge("new") == D("1.56") * 55 / 60
        assert broken() == []


class TestAMachineThatComesBack:
    def test_cost_all_the_while(self, till: Till) -> None:
        till.follow("a", BOOTS, at(0))
        till.follow("a", None, at(30))
        till.follow("a", BOOTS, at(50))
        till.follow("a", None, at(60))
        assert till.cost("a") == D("1.56")
        assert Subject.objects.get().ended_at == at(60)
        assert broken() == []


class TestTwoMachinesOfOneVm:
    def test_count_it_once(self, till: Till) -> None:
        vm = uuid4()
        till.follow("old", BOOTS, at(0), vm=vm)
        till.follow("new", BOOTS, at(10), vm=vm)
        days.fold(NOON)
        assert UsageDay.objects.get().machines_begun == 2
        assert Takeover.objects.get().is_only
        assert broken() == []


class TestSayingItAgain:
    def test_changes_nothing(self, till: Till) -> None:
        for _ in range(3):
            till.follow("a", PLAYS, at(0))
        for _ in range(3):
            till.follow("a", None, at(30))
        assert len(records("a")) == 1
        assert broken() == []

    def test_of_a_machine_nobody_heard_of_is_no_machine(self, till: Till) -> None:
        till.follow("a", None, at(0))
        assert not Subject.objects.exists()


class TestAClockThatJumpsBack:
    def test_counts_no_second_twice(self, till: Till) -> None:
        till.follow("a", PLAYS, at(0))
        hours.close_hours(at(130))
        assert hours.close_hours(at(70)) == 0
        till.follow("a", RESTS, at(65))  # before the last cut: nothing of the closed hours is taken back
        till.follow("a", None, at(125))
        assert sum((one.ended_at - one.started_at for one in records("a")), timedelta()) == timedelta(
            minutes=125
        )
        assert till.charge("a") == D("3.12")
        assert broken() == []

    def test_before_the_beginning_leaves_no_interval(self, till: Till) -> None:
        till.follow("a", PLAYS, at(0))
        till.follow("a", None, at(-10))
        assert records("a") == []
        assert Subject.objects.get().ended_at == at(0)
        assert broken() == []


class TestHours:
    def test_are_closed_at_the_full_hour_whenever_the_pass_comes(self, till: Till) -> None:
        till.follow("a", PLAYS, at(10))
        assert hours.close_hours(at(59)) == 0
        assert hours.close_hours(at(200)) == 1
        assert hours.close_hours(at(201)) == 0
        assert [f"{one.started_at:%H:%M}-{one.ended_at:%H:%M}" for one in records("a")] == [
            "12:10-13:00",
            "13:00-14:00",
            "14:00-15:00",
        ]
        assert Meter.objects.get().since == at(180)

    def test_are_closed_for_many_in_batches(self, till: Till) -> None:
        for number in range(25):
            till.follow(f"m{number}", PLAYS, at(number))
        assert hours.close_hours(at(61), batch=10) == 25
        assert Entry.objects.filter(kind=Entry.Kind.USAGE).count() == 3
        assert broken() == []

    def test_of_a_machine_heard_of_in_the_middle_of_a_pass_are_the_next_ones(self, till: Till) -> None:
        """A pass knows since when its oldest meter runs; one that runs for longer is not cut short."""
        till.follow("a", PLAYS, at(10))
        assert metering.oldest(at(60)) == at(10)
        till.follow("b", PLAYS, at(-120))
        assert len(metering.close_next(at(10), at(60), after=(0, 0), limit=9)) == 1
        assert records("b") == []
        assert hours.close_hours(at(61)) == 1
        assert [f"{one.started_at:%H}" for one in records("b")] == ["10", "11", "12"]
        assert broken() == []

    def test_are_closed_by_centre_so_that_each_days_sum_is_added_to_once(self, till: Till) -> None:
        for number in range(6):
            till.follow(f"m{number}", PLAYS, at(number), console="switch" if number % 2 else "wii")
        last, closed = (0, 0), []
        while batch := metering.close_next(at(0), at(60), after=last, limit=3):
            closed.append({centre for centre, _ in batch})
            last = batch[-1]
        assert [len(one) for one in closed] == [1, 1]
        assert broken() == []

    def test_end_at_the_zones_midnight_too(self, till: Till, settings: Any) -> None:
        settings.BILLING_TIME_ZONE = "Asia/Kolkata"  # midnight is at 18:30 UTC
        till.follow("a", PLAYS, at(6 * 60))
        till.follow("a", None, at(8 * 60))
        assert [f"{one.started_at:%H:%M} {one.day:%d}" for one in records("a")] == [
            "18:00 15",
            "18:30 16",
            "19:00 16",
        ]
        assert broken() == []

    def test_of_a_day_in_which_clocks_change_count_23_or_25(self, till: Till, settings: Any) -> None:
        settings.BILLING_TIME_ZONE = "Europe/Berlin"
        begin = datetime.fromisoformat("2026-03-28T23:00:00+00:00")
        till.follow("a", PLAYS, begin)
        till.follow("a", None, begin + timedelta(hours=24))
        days.fold(begin)
        sums = {one.day: one.running_us / 3.6e9 for one in UsageDay.objects.all()}
        assert sums == {date(2026, 3, 29): 23, date(2026, 3, 30): 1}


class TestDays:
    def test_counted_anew_in_another_zone_keep_the_money(self, till: Till, settings: Any) -> None:
        till.follow("a", PLAYS, at(0))
        till.follow("a", None, at(24 * 60))
        settings.BILLING_TIME_ZONE = "America/New_York"
        assert broken() != []
        days.rebuild(NOON)
        assert broken() == []
        sums = {one.day.day: one.charge_usd for one in UsageDay.objects.all()}
        assert sums == {15: D("24.96"), 16: D("12.48")}

    @pytest.mark.django_db(transaction=True)
    def test_are_counted_anew_beside_a_machine_that_begins(self, world: World) -> None:
        till = Till(world.alice, NOON)
        till.follow("a", BOOTS, at(0), vm=uuid4())

        def begin() -> int:
            till.follow("c", BOOTS, at(1), vm=uuid4())
            return 1

        def apart(call: Callable[[], int]) -> int:
            try:
                return call()
            finally:
                connections.close_all()

        def waiting() -> int:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                    " WHERE NOT granted AND datname = current_database()"
                )
                return int(cursor.fetchone()[0])

        with ThreadPoolExecutor(2) as pool:
            with transaction.atomic():
                till.follow("b", BOOTS, at(0), vm=uuid4())
                rebuilt = pool.submit(apart, lambda: days.rebuild(at(5)))
                eventually(lambda: waiting() == 1)
                metered = pool.submit(apart, begin)
                eventually(lambda: waiting() == 2)
            assert rebuilt.result(30) > 0
            assert metered.result(30) > 0
        assert broken() == []


class TestMoving:
    def test_to_another_project_cuts_and_charges_the_next_payer(self, till: Till, world: World) -> None:
        vm = uuid4()
        till.follow("a", PLAYS, at(0), vm=vm)
        arcade = accounts.account_of(world.arcade, NOON)

        def dimensions(old: CostCentre) -> metering.Dimensions:
            return metering.Dimensions(
                payer_id=arcade.pk, provider=old.provider, console=old.console, preset=old.preset,
                user_id=old.user_id, department_id=world.arcade.pk,
            )  # fmt: skip

        for _ in range(2):
            metering.move(vm=vm, dimensions=dimensions, now=at(30))
        till.follow("a", None, at(60))
        arcade.refresh_from_db()
        assert (till.balance, arcade.balance_usd) == (D("4.22"), D("-0.78"))
        assert broken() == []


class TestSplitting:
    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
    )
    @given(
        passes=st.lists(st.integers(0, 500), max_size=6),
        quote=st.decimals("0.000000001", "9", places=9),
        start=st.integers(0, 59 * 60),
        length=st.integers(1, 4 * 3600),
    )
    def test_never_changes_the_total(
        self, world: World, passes: list[int], quote: Decimal, start: int, length: int
    ) -> None:
        till = Till(world.alice, NOON)
        begin, end = NOON + timedelta(seconds=start), NOON + timedelta(seconds=start + length)
        kept, split = f"k{Subject.objects.count()}", f"s{Subject.objects.count()}"
        till.follow(kept, PLAYS, begin, quote=quote)
        till.follow(kept, None, end, quote=quote)
        till.follow(split, PLAYS, begin, quote=quote)
        for minutes in sorted(passes):
            if begin < at(minutes) < end:
                hours.close_hours(at(minutes))
                metering.close(Meter.objects.get(subject__key=split), at(minutes))
        till.follow(split, None, end, quote=quote)
        assert till.charge(split) == till.charge(kept)
        assert till.cost(split) == till.cost(kept)


class TestTheDatabase:
    @pytest.fixture
    def used(self, till: Till) -> UsageRecord:
        till.follow("a", PLAYS, at(0))
        till.follow("a", None, at(30))
        return UsageRecord.objects.get()

    @pytest.mark.parametrize(
        ("start", "end"),
        [(29, 31), (10, 20), (-10, 40), (31, 40), (-10, 0)],
        ids=["overlaps", "is within another", "is around it", "leaves a gap", "is from before the machine"],
    )
    def test_refuses_an_interval_that(self, used: UsageRecord, start: int, end: int) -> None:
        used.pk, used.origin, used.started_at, used.ended_at = None, at(-10), at(start), at(end)
        with pytest.raises(Error, match="does not begin where the one before ended"):
            used.save(force_insert=True)

    def test_refuses_an_interval_that_is_there(self, used: UsageRecord) -> None:
        used.pk = None
        with pytest.raises(Error, match="usage_of_subject"):
            used.save(force_insert=True)

    def test_looks_at_all_intervals_of_a_statement(self, used: UsageRecord) -> None:
        def following(*minutes: int) -> list[UsageRecord]:
            columns = {field.attname: getattr(used, field.attname) for field in used._meta.fields}
            times = [{"id": None, "started_at": at(a), "ended_at": at(b)} for a, b in pairwise(minutes)]
            return [UsageRecord(**{**columns, **one}) for one in times]

        UsageRecord.objects.bulk_create(reversed(following(30, 40, 50, 60)))
        with pytest.raises(Error, match="does not begin where the one before ended"):
            UsageRecord.objects.bulk_create([*following(60, 70, 80), *following(75, 90)])

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE billing_usagerecord SET charge_usd = 0",
            "DELETE FROM billing_usagerecord",
            "UPDATE billing_leg SET amount_usd = amount_usd * 2",
            "DELETE FROM billing_leg",
            "UPDATE billing_entry SET reason = 'other'",
            "DELETE FROM billing_entry",
            "UPDATE billing_costcentre SET console = 'nes'",
            "DELETE FROM billing_costcentre",
            "UPDATE billing_subject SET started_at = started_at - interval '1 hour'",
            "UPDATE billing_creditaccount SET balance_usd = 1000",
            "INSERT INTO billing_creditaccount (kind, code, is_postpaid, balance_usd, held_usd, opened_at)"
            " VALUES ('house', 'x', true, 5, 0, now())",
        ],
    )
    def test_refuses_to_forget_or_to_change_what_was(self, used: UsageRecord, statement: str) -> None:
        with pytest.raises(Error, match="is refused"), connection.cursor() as cursor:
            cursor.execute(statement)

    def test_charges_an_interval_once(self, used: UsageRecord) -> None:
        leg = Leg.objects.get(record=used)
        with pytest.raises(Error, match="leg_charges_usage_once"), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO billing_leg (entry_id, account_id, amount_usd, record_id) VALUES (%s, %s, -1, %s), (%s, %s, 1, NULL)",
                [
                    leg.entry_id,
                    leg.account_id,
                    used.pk,
                    leg.entry_id,
                    CreditAccount.objects.get(code="revenue").pk,
                ],
            )
