from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import Q
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Project
from billing import rating
from billing.periods import Period, last_days, month_of, month_so_far, share_gone
from billing.reports import (
    GROUPS,
    Filters,
    forecast,
    front_page_figures,
    report,
    series,
    spending_now,
)
from billing.reports.facts import Question
from billing.reports.spending import STAFF, Spending, alerts
from billing.sight import Sight
from tests.billing.usage import Where, at, of, runs, subject_of, used
from tests.world import NOON, World

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
JUNE = Period(date(2026, 6, 1), date(2026, 6, 30), UTC_ZONE)
pytestmark = pytest.mark.django_db


def figures(**asked: Any) -> Any:
    return report(**{"period": JUNE, "sight": STAFF, "now": NOON, **asked})


class TestReport:
    def test_sums_hours_and_both_kinds_of_money(self, world: World) -> None:
        used(of(world.alice), at("2026-06-10 10:00"), at("2026-06-10 18:30"), cost="1.56", charge="1.56")
        totals = figures().totals
        assert (totals.cost_usd, totals.charge_usd, totals.vms) == (Decimal("13.26"), Decimal("13.26"), 1)
        assert (totals.provider_hours, totals.charged_hours) == (Decimal("8.5"), Decimal("8.5"))
        assert totals.cost_per_play_hour == Decimal("1.56")

    @pytest.mark.parametrize("names", [("day",), ("user", "day"), ("day", "region"), ("user",)])
    def test_reads_no_more_rows_than_are_wanted(self, world: World, names: tuple[str, ...]) -> None:
        """However many there are: each tells its VMs, which on a day are those of the days before, too."""
        for number, user in enumerate((world.alice, world.bob, None), 1):
            used(
                Where(user=user, region=f"r{number % 2}"),
                at("2026-06-09 23:00"),
                at(f"2026-06-1{number} 01:00"),
            )
        runs(of(world.alice), at("2026-06-14 11:20"))
        whole = figures(group_by=names)
        asked = Question(JUNE, Q(), NOON, names, most=2).answer()
        assert asked == (whole.rows[:2], whole.totals, whole.groups)
        assert whole.groups > 2
        assert whole.rows[1].vms > 0

    def test_adds_what_still_runs_until_now(self, world: World) -> None:
        machine = runs(
            of(world.alice), at("2026-06-15 11:20"), origin=at("2026-06-15 10:20"), cost="0.7", charge="0.77"
        )
        totals = figures().totals
        expected = rating.cost(Decimal("0.7"), at("2026-06-15 10:20"), at("2026-06-15 11:20"), NOON)
        assert totals.cost_usd == expected == Decimal("0.466667")
        assert totals.charge_usd == Decimal("0.513333")
        assert totals.running_us == 40 * 60 * 1_000_000
        assert machine.vm is not None
        assert totals.vms == 1

    def test_gives_each_day_its_share_of_a_meter_that_was_cut_late(self, world: World) -> None:
        runs(of(world.alice), at("2026-06-13 23:00"), cost="1.2")
        days = {row.keys[0]: row.cost_usd for row in figures(group_by=["day"]).rows}
        assert days == {
            date(2026, 6, 13): Decimal("1.2"),
            date(2026, 6, 14): Decimal("28.8"),
            date(2026, 6, 15): Decimal("14.4"),
        }

    @pytest.mark.parametrize("group", sorted(set(GROUPS) - {"day"}))
    def test_groups_by_everything_and_the_groups_make_the_whole(self, world: World, group: str) -> None:
        project = Project.objects.create(name="Mario", owner=world.alice, department=world.arcade)
        used(of(world.alice, project=project), at("2026-06-02 10:00"), at("2026-06-02 12:00"), cost="2")
        other = {"provider": "cloudypad_gcp", "region": "eu", "console": "snes", "preset": "retro"}
        used(
            Where(user=world.charlie, **other),
            at("2026-06-03 10:00"),
            at("2026-06-03 11:00"),
            cost="0.5",
            charge="0.6",
        )
        runs(Where(user=world.charlie, **other), at("2026-06-15 11:00"), cost="0.1")
        found = figures(group_by=[group])
        assert [row.cost_usd for row in found.rows] == [Decimal(4), Decimal("0.6")]
        assert sum(row.vms for row in found.rows) == found.totals.vms == 3
        assert found.totals == figures().totals
        names = {"project": "Mario", "department": "Arcade", "user": "alice@gamer.test"}
        assert found.rows[0].names[0] == names.get(group, str(found.rows[0].keys[0]))

    def test_groups_by_two_things_at_once(self, world: World) -> None:
        for day in (3, 4):
            used(of(world.alice), at(f"2026-06-0{day} 10:00"), at(f"2026-06-0{day} 11:00"))
        used(of(world.bob, provider="libvirt"), at("2026-06-03 10:00"), at("2026-06-03 11:00"))
        keys = [row.keys for row in figures(group_by=["day", "provider"]).rows]
        assert keys == [
            (date(2026, 6, 3), "libvirt"), (date(2026, 6, 3), "tensordock"), (date(2026, 6, 4), "tensordock"),
        ]  # fmt: skip

    def test_counts_a_vm_once_however_many_machines_it_went_through(self, world: World) -> None:
        first = used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 10:10"))
        second = subject_of(
            of(world.alice), at("2026-06-03 10:00"), at("2026-06-03 11:00"), Decimal(1), Decimal(1), first.vm
        )
        used(of(world.alice), at("2026-06-03 10:00"), at("2026-06-03 11:00"), subject=second)
        assert figures().totals.vms == 1
        assert [row.vms for row in series(period=JUNE, sight=STAFF, now=NOON)][:4] == [0, 1, 1, 0]

    def test_leaves_vms_uncounted_where_nobody_asks(self, world: World) -> None:
        used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 11:00"))
        plain, counted = (figures(group_by=["provider"], counts_vms=one) for one in (False, True))
        assert (plain.totals.vms, counted.totals.vms) == (0, 1)
        assert plain.totals.cost_usd == counted.totals.cost_usd == 1

    def test_counts_what_providers_bill_of_stopped_machines_apart_from_play(self, world: World) -> None:
        machine = used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 12:00"), cost="1")
        used(
            of(world.alice),
            at("2026-06-02 12:00"),
            at("2026-06-02 22:00"),
            cost="0.1",
            charge="0",
            kind="stopped",
            subject=machine,
        )
        totals = figures().totals
        assert (totals.provider_hours, totals.charged_hours) == (Decimal(12), Decimal(2))
        assert (totals.cost_usd, totals.charge_usd, totals.margin_usd) == (
            Decimal(3),
            Decimal(2),
            Decimal(-1),
        )
        assert totals.cost_per_play_hour == Decimal("1.5")
        assert report(period=JUNE, sight=STAFF, now=NOON).totals.saved_usd == Decimal(9)

    def test_narrows(self, world: World) -> None:
        used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 12:00"))
        used(of(world.bob, provider="libvirt"), at("2026-06-02 10:00"), at("2026-06-02 11:00"))
        assert figures(filters=Filters(provider="libvirt")).totals.cost_usd == 1
        assert figures(filters=Filters(user=world.alice.pk)).totals.cost_usd == 2
        assert figures(filters=Filters(provider="nobody")).totals.cost_usd == 0
        assert figures(filters=Filters(provider="nobody"), group_by=["provider"]).rows == []

    def test_knows_nothing_of_other_days(self, world: World) -> None:
        used(of(world.alice), at("2026-05-31 22:00"), at("2026-06-01 02:00"))
        used(of(world.alice), at("2026-06-30 23:00"), at("2026-07-01 05:00"))
        assert figures(now=at("2026-07-02 00:00")).totals.cost_usd == 3

    def test_of_the_future_is_empty(self, world: World) -> None:
        runs(of(world.alice), at("2026-06-15 11:00"))
        later = Period(date(2026, 7, 1), date(2026, 7, 5), UTC_ZONE)
        assert figures(period=later).totals.cost_usd == 0
        assert figures(period=later).totals.vms == 0

    def test_takes_a_handful_of_statements_however_much_there_is(self, world: World) -> None:
        people = [world.alice, world.bob, world.charlie]
        for number in range(12):
            start = at("2026-06-02 10:00") + timedelta(days=number)
            used(of(people[number % 3], region=f"r{number}"), start, start + timedelta(hours=2))
        with CaptureQueriesContext(connection) as asked:
            figures(group_by=["user", "day"], filters=Filters(console="switch"))
        assert len(asked) <= 5

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        pieces=st.lists(
            st.tuples(
                st.integers(0, 30 * 86_400), st.integers(1, 3 * 86_400), st.decimals("0.000000001", "9", places=9),
                st.sampled_from(["tensordock", "libvirt"]), st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu"]),
            ),
            min_size=1, max_size=4,
        )
    )  # fmt: skip
    def test_equals_the_sum_over_all_intervals_to_the_last_digit(
        self, world: World, pieces: list[Any]
    ) -> None:
        zone_name = pieces[0][4]
        before = figures(period=Period(date(2026, 1, 1), date(2026, 12, 31), ZoneInfo(zone_name))).totals
        with override_settings(BILLING_TIME_ZONE=zone_name):
            total = Decimal(0)
            for start_s, length_s, price, provider, _ in pieces:
                start = at("2026-03-20 00:00") + timedelta(seconds=start_s)
                end = start + timedelta(seconds=length_s)
                used(of(world.alice, provider=provider), start, end, cost=str(price), charge="0")
                total += rating.total(price, start, end)
        year = Period(date(2026, 1, 1), date(2026, 12, 31), ZoneInfo(zone_name))
        assert figures(period=year).totals.cost_usd - before.cost_usd == total


class TestSight:
    def money_of(self, sight: Sight) -> Decimal:
        return figures(sight=sight).totals.charge_usd

    def test_is_exactly_a_departments_or_a_persons_money(self, world: World) -> None:
        used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 11:00"), charge="1")
        used(of(world.bob), at("2026-06-02 10:00"), at("2026-06-02 11:00"), charge="2")
        used(of(world.charlie), at("2026-06-02 10:00"), at("2026-06-02 11:00"), charge="4")
        used(of(world.sam), at("2026-06-02 10:00"), at("2026-06-02 11:00"), charge="8")
        assert self.money_of(STAFF) == 15
        assert self.money_of(Sight(department_id=world.arcade.pk)) == 3
        assert self.money_of(Sight(user_id=world.charlie.pk)) == 4
        assert self.money_of(Sight()) == 7, "a service of all players sees no staff's money"


class TestDays:
    def test_end_at_the_zones_midnight(self, world: World) -> None:
        with override_settings(BILLING_TIME_ZONE="Europe/Berlin"):
            used(of(world.alice), at("2026-06-10 21:00"), at("2026-06-10 23:00"))
            runs(of(world.bob), at("2026-06-15 21:30"))
        period = Period(date(2026, 6, 1), date(2026, 6, 30), BERLIN)
        now = at("2026-06-15 22:30")
        rows = {
            row.keys[0]: row.cost_usd for row in series(period=period, sight=STAFF, now=now) if row.cost_usd
        }
        assert rows == {
            date(2026, 6, 10): 1, date(2026, 6, 11): 1, date(2026, 6, 15): Decimal("0.5"), date(2026, 6, 16): Decimal("0.5"),
        }  # fmt: skip

    @pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-15", 24)])
    def test_have_23_or_25_hours_where_clocks_change(self, world: World, day: str, hours: int) -> None:
        one = date.fromisoformat(day)
        with override_settings(BILLING_TIME_ZONE="Europe/Berlin"):
            start = at(day + " 00:00") - timedelta(days=1)
            used(of(world.alice), start, start + timedelta(days=3))
        found = report(period=Period(one, one, BERLIN), sight=STAFF, now=at("2027-01-01 00:00")).totals
        assert (found.cost_usd, found.provider_hours, found.vms) == (hours, hours, 1)

    def test_of_a_series_are_all_there(self, world: World) -> None:
        used(of(world.alice), at("2026-06-10 10:00"), at("2026-06-10 11:00"))
        rows = series(period=JUNE, sight=STAFF, now=NOON)
        assert [row.keys[0] for row in rows] == JUNE.each()
        assert sum(row.cost_usd for row in rows) == 1

    def test_make_periods(self) -> None:
        assert last_days(7, at("2026-03-02 00:30"), UTC_ZONE) == Period(
            date(2026, 2, 24), date(2026, 3, 2), UTC_ZONE
        )
        assert last_days(1, at("2026-03-02 23:30"), BERLIN).start == date(2026, 3, 3)
        assert month_of(date(2028, 2, 5), UTC_ZONE).days == 29
        assert month_so_far(NOON, UTC_ZONE).days == 15
        assert share_gone(month_of(date(2026, 6, 1), UTC_ZONE), at("2026-06-16 00:00")) == Decimal("0.5")


class TestSpending:
    def test_is_todays_and_the_months(self, world: World) -> None:
        used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 20:00"), cost="2", charge="3")
        runs(of(world.alice), at("2026-06-15 11:00"), cost="4", charge="5")
        assert spending_now(sight=STAFF, now=NOON, zone=UTC_ZONE) == Spending(Decimal(4), Decimal(24))
        mine = spending_now(sight=Sight(user_id=world.alice.pk), now=NOON, zone=UTC_ZONE)
        assert mine == Spending(Decimal(5), Decimal(35))

    @pytest.mark.parametrize(
        ("daily", "monthly", "expected"),
        [
            ("39.99", "399.99", []),
            ("40", "0", ["daily_limit_warning"]),
            ("49.999999", "400", ["daily_limit_warning", "monthly_limit_warning"]),
            ("50", "500", ["daily_limit_exceeded", "monthly_limit_exceeded"]),
        ],
    )
    def test_warns_at_80_percent_and_shouts_at_the_limit(
        self, daily: str, monthly: str, expected: list[str]
    ) -> None:
        found = alerts(
            Spending(Decimal(daily), Decimal(monthly)), daily_limit=Decimal(50), monthly_limit=Decimal(500)
        )
        assert [one.type for one in found] == expected
        assert all(one.severity == ("critical" if "exceeded" in one.type else "warning") for one in found)

    def test_is_not_said_to_be_whole_before_it_is(self) -> None:
        (found,) = alerts(
            Spending(Decimal("49.9"), Decimal(0)), daily_limit=Decimal(50), monthly_limit=Decimal(500)
        )
        assert (found.severity, "99 % of the limit" in found.message) == ("warning", True)

    def test_is_foreseen_at_the_pace_of_the_last_week(self, world: World) -> None:
        for day in range(8, 15):
            start = at(f"2026-06-{day:02} 10:00")
            used(of(world.alice), start, start + timedelta(hours=2), cost="1.5")
        assert forecast(sight=STAFF, now=NOON, zone=UTC_ZONE) == 21 + 3 * Decimal("15.5")

    def test_is_foreseen_to_stay_after_a_week_without_use(self, world: World) -> None:
        used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-02 12:00"), cost="1.5")
        assert forecast(sight=STAFF, now=NOON, zone=UTC_ZONE) == 3

    def test_is_foreseen_at_the_months_own_pace_on_its_first_days(self, world: World) -> None:
        used(of(world.alice), at("2026-06-15 00:00"), at("2026-06-15 12:00"), cost="1")
        assert forecast(sight=STAFF, now=NOON, zone=UTC_ZONE) == rating.amount(12 / (Decimal("14.5") / 30))

    def test_fills_the_front_page(self, world: World) -> None:
        used(of(world.bob), at("2026-06-02 10:00"), at("2026-06-02 20:00"), cost="2")
        runs(of(world.alice), at("2026-06-15 11:00"), cost="4", charge="5")
        page = front_page_figures(now=NOON, zone=UTC_ZONE)
        assert (page.today.cost_usd, page.month.cost_usd) == (4, 24)
        assert (page.burn_usd_per_hour, page.charge_usd_per_hour) == (4, 5)
        assert [row.names for row in page.top_spenders] == [("bob@gamer.test",), ("alice@gamer.test",)]
        assert page.open_crossings == []
