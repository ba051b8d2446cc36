"""What the cost reports ask: figures narrowed and folded, and periods beside those before them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.periods import Period
from billing.reports import Filters, compared, daily, report
from billing.reports.compared import OTHERS
from billing.reports.figures import NO_ID, NO_TEXT
from billing.reports.spending import STAFF
from tests.billing.usage import Where, at, of, runs, used
from tests.world import NOON, World

pytestmark = pytest.mark.django_db
UTC = ZoneInfo("UTC")
JUNE = Period(date(2026, 6, 1), date(2026, 6, 30), UTC)


class TestFigures:
    def test_fold_what_a_chart_has_no_room_for(self, world: World) -> None:
        for number, user in enumerate((world.alice, world.bob, world.charlie, None), 1):
            used(Where(user=user), at("2026-06-10 10:00"), at("2026-06-10 11:00"), cost=str(number))
        rows = daily(period=JUNE, sight=STAFF, now=NOON, by="user", shown=[None, world.bob.pk])
        assert {row.keys[1]: row.cost_usd for row in rows} == {None: 4, world.bob.pk: 2, OTHERS: 4}

    @pytest.mark.parametrize("by", ["cost_usd", "running_us + stopped_us"])
    def test_of_the_largest_stand_beside_theirs_before(self, world: World, by: str) -> None:
        people = (world.alice, world.bob, world.charlie, None)
        for number, user in enumerate(people, 1):
            used(
                Where(user=user),
                at("2026-06-10 10:00"),
                at(f"2026-06-10 {15 - number}:00"),
                cost=str(number**4),
            )
            used(Where(user=user), at("2026-05-10 10:00"), at("2026-05-10 11:00"), cost=str(number))
        asked: dict[str, Any] = {"period": JUNE, "sight": STAFF, "now": NOON, "group_by": ("user",)}
        whole, found = compared(**asked), compared(**asked, most=2, by=by)
        largest = [world.alice.pk, world.bob.pk] if by.startswith("run") else [world.charlie.pk, None]
        assert {row.keys[0] for row in found.report.rows} == set(largest)
        assert (found.report.totals, found.report.groups) == (whole.report.totals, 4)
        assert found.before.totals == whole.before.totals
        assert sorted(found.before.rows, key=str) == sorted(
            (row for row in whole.before.rows if row.keys[0] in largest), key=str
        )

    def test_find_what_has_none(self, world: World) -> None:
        used(
            of(world.alice, project=world.tournament),
            at("2026-06-10 10:00"),
            at("2026-06-10 11:00"),
            cost="2",
        )
        used(Where(region=""), at("2026-06-10 10:00"), at("2026-06-10 11:00"), cost="3")
        for filters, usd in (
            (Filters(project=NO_ID), 3), (Filters(user=NO_ID), 3), (Filters(region=NO_TEXT), 3), (Filters(region="us"), 2),
        ):  # fmt: skip
            assert report(period=JUNE, sight=STAFF, now=NOON, filters=filters).totals.cost_usd == usd

    def test_of_stopping_are_narrowed_too(self, world: World) -> None:
        for user in (world.alice, world.bob):
            subject = used(of(user), at("2026-06-10 10:00"), at("2026-06-10 11:00"), cost="2")
            used(
                of(user),
                at("2026-06-10 11:00"),
                at("2026-06-10 14:00"),
                cost="0.5",
                charge="0",
                kind="stopped",
                subject=subject,
            )
        assert report(period=JUNE, sight=STAFF, now=NOON).totals.saved_usd == 9
        hers = Filters(user=world.alice.pk)
        mine = report(period=JUNE, sight=STAFF, now=NOON, filters=hers).totals.saved_usd
        assert mine == Decimal("4.5")


class TestCompared:
    @pytest.mark.parametrize(
        "names",
        [("provider",), ("day",), ("console", "day"), ("day", "region"), ("preset", "console"), ("user",)],
    )
    def test_says_what_two_reports_say(self, world: World, names: tuple[str, ...]) -> None:
        for number, day in enumerate((1, 1, 2, 14, 15), 1):
            where = of(
                world.alice,
                provider=f"p{number % 2}",
                region=f"r{number % 3}",
                console=f"c{number % 2}",
                preset=f"s{number}",
            )
            used(
                where,
                at(f"2026-06-{day:02} 22:00"),
                at(f"2026-06-{day + 1:02} 02:30"),
                cost=f"{number}.1",
                charge=f"{number}.2",
            )
        runs(of(world.bob), at("2026-06-15 11:20"), cost="0.7")
        asked: dict[str, Any] = {"sight": STAFF, "now": at("2026-06-16 12:00"), "group_by": names}
        period = Period(date(2026, 6, 9), date(2026, 6, 16), UTC)
        found = compared(period=period, **asked)
        there = report(period=period, **asked)
        was = report(period=Period(date(2026, 6, 1), date(2026, 6, 8), UTC), counts_vms=False, **asked)
        for ours, theirs in ((found.report, there), (found.before, was)):
            assert ours.period == theirs.period
            assert sorted(ours.rows, key=str) == sorted(theirs.rows, key=str)
            assert ours.totals == theirs.totals
        assert len(found.report.rows) >= 1
        assert len(found.before.rows) >= 1
