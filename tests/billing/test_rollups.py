"""The coarse sums say what the centres' days say, and VMs are counted where their machines were."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Project
from billing import tasks
from billing.models import CostCentre, Face, UsageSum
from billing.periods import Period
from billing.reports import GROUPS, Filters, report, series
from billing.reports.rollups import blocks_of, face_of
from billing.reports.spending import STAFF
from billing.services import days, metering
from billing.services.metering import Dimensions
from tests.billing.metered import broken
from tests.billing.usage import Where, at, of, runs, subject_of, used
from tests.world import NOON, World

JUNE = Period(date(2026, 6, 1), date(2026, 6, 30), ZoneInfo("UTC"))
COARSE = sorted(set(GROUPS) - {"user"})
pytestmark = pytest.mark.django_db


def figures(**asked: Any) -> Any:
    return report(**{"period": JUNE, "sight": STAFF, "now": NOON, **asked})


def laws() -> list[str]:
    """What is broken of the laws of sums; the helpers' machines have lives of their own."""
    return [one for one in broken() if "sum of its" in one or "running sum" in one or "two machines" in one]


@pytest.fixture
def month(world: World) -> World:
    """Three people, two providers and consoles, a project, a rest, one that still runs and one placed anew elsewhere."""
    project = Project.objects.create(name="Mario", owner=world.alice, department=world.arcade)
    retro = {"provider": "libvirt", "region": "eu", "console": "snes", "preset": "retro"}
    used(of(world.alice, project=project), at("2026-05-31 20:00"), at("2026-06-01 03:17"), cost="1.234567")
    used(of(world.bob), at("2026-06-02 10:00"), at("2026-06-02 12:00"), cost="2", charge="0", kind="stopped")
    first = used(of(world.bob), at("2026-06-02 10:00"), at("2026-06-02 10:20"), cost="0.7", charge="0.8")
    again = subject_of(
        of(world.bob, **retro),
        at("2026-06-03 10:00"),
        at("2026-06-03 11:00"),
        Decimal(1),
        Decimal(1),
        first.vm,
    )
    used(of(world.bob, **retro), at("2026-06-03 10:00"), at("2026-06-03 11:00"), subject=again)
    used(Where(user=world.charlie, **retro), at("2026-06-04 10:00"), at("2026-06-06 11:00"), cost="0.333333")
    runs(Where(user=world.charlie, **retro), at("2026-06-15 11:00"), cost="0.1")
    return world


class TestCoarseSums:
    @pytest.mark.parametrize("group", COARSE)
    def test_say_what_the_centres_days_say(self, month: World, group: str) -> None:
        """With users among the groups the same figures are read from the days."""
        fine: dict[Any, list[Any]] = {}
        for row in figures(group_by=[group, "user"]).rows:
            told = (
                row.running_us,
                row.charged_us,
                row.stopped_us,
                row.storage_us,
                row.cost_usd,
                row.charge_usd,
            )
            fine[row.keys[0]] = [a + b for a, b in zip(fine.get(row.keys[0], [0] * 6), told, strict=True)]
        coarse = figures(group_by=[group])
        assert {
            row.keys[0]: [
                row.running_us,
                row.charged_us,
                row.stopped_us,
                row.storage_us,
                row.cost_usd,
                row.charge_usd,
            ]
            for row in coarse.rows
        } == fine
        assert coarse.totals == figures().totals == figures(group_by=["user"]).totals
        assert laws() == []

    @pytest.mark.parametrize(
        ("filters", "groups", "face"),
        [
            (Filters(), (), Face.ALL),
            (Filters(), ("day",), Face.ALL),
            (Filters(provider="libvirt"), ("region", "day"), Face.PLACE),
            (Filters(preset="retro"), ("console",), Face.GAME),
            (Filters(provider="libvirt"), ("console", "day"), Face.PRODUCT),
            (Filters(department=1), ("project",), Face.TENANT),
            (Filters(department=1), ("provider",), None),
            (Filters(user__handle="x"), (), None),
            (Filters(), ("user",), None),
        ],
    )
    def test_are_read_where_they_tell_apart_what_is_asked(
        self, filters: Filters, groups: tuple[str, ...], face: Face | None
    ) -> None:
        assert face_of(STAFF.of() & filters.of(), groups) == face

    def test_are_narrowed_like_the_days(self, month: World) -> None:
        assert figures(filters=Filters(provider="libvirt")).totals.cost_usd == sum(
            row.cost_usd for row in figures(group_by=["provider", "user"]).rows if row.keys[0] == "libvirt"
        )
        assert figures(filters=Filters(department=month.arcade.pk)).totals.vms == 3

    def test_are_the_same_when_folded_and_counted_anew(self, month: World) -> None:
        before = {group: figures(group_by=[group]) for group in COARSE}
        tasks.fold_sums()
        assert not UsageSum.objects.filter(is_whole=False).exists()
        folded = UsageSum.objects.count()
        assert days.fold(NOON) == 0
        days.rebuild(NOON)
        assert UsageSum.objects.count() == folded
        assert {group: figures(group_by=[group]) for group in COARSE} == before
        assert laws() == []

    def test_take_what_comes_late_for_a_day_that_was_folded(self, month: World) -> None:
        days.fold(NOON)
        used(of(month.alice), at("2026-06-02 15:00"), at("2026-06-02 16:00"), cost="4")
        assert figures(group_by=["provider"]).totals.cost_usd == figures(group_by=["user"]).totals.cost_usd
        days.fold(NOON)
        assert laws() == []


class TestToDate:
    @pytest.mark.parametrize(
        "folded", ["", "06-03", "06-04 06-05", "06-04 06-24 08-20", "08-20", "07-30 06-10"]
    )
    def test_say_what_the_days_say_whenever_they_were_made(self, world: World, folded: str) -> None:
        """Used within one block and beyond it, with days on which nobody does anything; folded late, and by a clock gone back."""
        used(of(world.alice), at("2026-06-01 20:00"), at("2026-06-02 03:17"), cost="1.234567")
        used(of(world.alice, provider="libvirt"), at("2026-06-02 20:00"), at("2026-06-02 21:00"), cost="2")
        used(of(world.bob), at("2026-06-09 20:00"), at("2026-06-09 23:00"), cost="3")
        for day in folded.split():
            days.fold(at(f"2026-{day} 12:00"))
        used(of(world.alice), at("2026-06-01 10:00"), at("2026-06-01 11:00"), cost="4")  # late
        used(of(world.bob), at("2026-07-25 10:00"), at("2026-07-25 11:00"), cost="5")
        for fold in (False, True):
            if fold and folded:
                days.fold(at(f"2026-{folded.split()[-1]} 12:00"))
            for start in ("2026-05-20", "2026-06-01", "2026-06-02", "2026-06-03", "2026-06-09", "2026-07-25"):
                for end in ("2026-06-01", "2026-06-02", "2026-06-05", "2026-06-30", "2026-08-19"):
                    if start <= end:
                        self.agree(
                            Period(date.fromisoformat(start), date.fromisoformat(end), ZoneInfo("UTC"))
                        )
        assert laws() == []

    def agree(self, period: Period) -> None:
        asked = {"period": period, "now": at("2026-08-20 12:00"), "counts_vms": False}
        sums: dict[Any, Decimal] = {}
        for row in figures(**asked, group_by=["provider", "user"]).rows:
            sums[row.keys[1]] = sums.get(row.keys[1], Decimal(0)) + row.cost_usd
        found = figures(**asked, group_by=["user"])
        assert {row.keys[0]: row.cost_usd for row in found.rows} == sums
        assert found.totals.cost_usd == sum(sums.values())

    def test_are_of_blocks(self) -> None:
        summer = Period(date(2026, 6, 1), date(2026, 9, 1), ZoneInfo("UTC"))
        firsts, lasts = blocks_of(summer)
        assert [f"{first:%m-%d} {last:%m-%d}" for first, last in zip(firsts, lasts, strict=True)] == [
            "04-14 06-16", "06-17 08-19", "08-20 09-01",
        ]  # fmt: skip


class TestVms:
    def test_count_where_they_were_and_once_in_all(self, month: World) -> None:
        found = figures(group_by=["provider"])
        assert {row.keys[0]: row.vms for row in found.rows} == {"tensordock": 3, "libvirt": 3}
        assert found.totals.vms == 5, "one was placed anew at the other provider"

    def test_count_on_each_day_they_were_there(self, month: World) -> None:
        rows = series(period=JUNE, sight=STAFF, now=NOON)
        assert [row.vms for row in rows][:15] == [1, 2, 1, 1, 1, 1, *[0] * 8, 1]

    def test_count_in_periods_that_begin_in_the_middle_of_them(self, month: World) -> None:
        middle = Period(date(2026, 6, 5), date(2026, 6, 5), ZoneInfo("UTC"))
        assert figures(period=middle).totals.vms == 1
        assert figures(period=middle, group_by=["user"]).rows[0].vms == 1

    def test_count_once_that_came_back_within_the_period(self, world: World) -> None:
        first = used(of(world.alice), at("2026-05-30 10:00"), at("2026-05-30 11:00"))
        for day in (2, 4):
            start = at(f"2026-06-0{day} 10:00")
            again = subject_of(
                of(world.alice), start, start + timedelta(hours=1), Decimal(1), Decimal(1), first.vm
            )
            used(of(world.alice), start, start + timedelta(hours=1), subject=again)
        assert (figures().totals.vms, figures(group_by=["console"]).rows[0].vms) == (1, 1)

    def test_are_not_there_before_their_time(self, world: World) -> None:
        runs(of(world.alice), NOON - timedelta(hours=1))
        assert [row.vms for row in series(period=JUNE, sight=STAFF, now=NOON)] == [*[0] * 14, 1, *[0] * 15]

    def test_count_where_they_moved_to(self, world: World) -> None:
        machine = runs(of(world.alice), NOON - timedelta(hours=1))
        project = Project.objects.create(name="Mario", owner=world.alice, department=world.arcade)

        def moved(centre: CostCentre) -> Dimensions:
            names = ("payer_id", "provider", "console", "preset", "provider_account", "region", "user_id")
            return Dimensions(**{name: getattr(centre, name) for name in names}, project_id=project.pk)

        assert machine.vm is not None
        metering.move(vm=machine.vm, dimensions=moved, now=NOON)
        later = NOON + timedelta(minutes=5)
        rows = {row.keys[0]: row.vms for row in figures(now=later, group_by=["project"]).rows}
        assert rows == {None: 0, project.pk: 1}
        assert figures(now=later).totals.vms == 1
        assert laws() == []

    def test_that_ended_at_midnight_were_not_there_the_next_day(self, world: World) -> None:
        used(of(world.alice), at("2026-06-02 10:00"), at("2026-06-03 00:00"))
        used(of(world.bob), at("2026-06-02 10:00"), at("2026-06-03 00:00") + timedelta(microseconds=1))
        assert [row.vms for row in series(period=JUNE, sight=STAFF, now=NOON)][:4] == [0, 2, 1, 0]
        assert laws() == []

    def test_without_a_second_of_life_count_when_they_began(self, world: World) -> None:
        subject_of(of(world.alice), NOON, NOON, Decimal(1), Decimal(1))
        assert figures().totals.vms == 1
