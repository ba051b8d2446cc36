"""The arithmetic of money: golden figures of the rate card, splitting, days, and the database's twin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing import rating

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
BERLIN, KOLKATA, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")

prices = st.decimals(0, 10_000, places=9)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def D(text: str) -> Decimal:
    return Decimal(text)


class TestGoldenFigures:
    @pytest.mark.parametrize(
        ("base", "factors", "hours", "expected"),
        [
            ("1.20", ["1.3"], 8.5, "13.26"),  # a Switch on a premium machine of TensorDock
            ("0.35", ["1.1"], 2, "0.77"),  # a 3DS on an advanced one
            ("0.15", [], 10, "1.50"),  # an NES on a retro one
            ("0.85", ["1.25"], 4, "4.25"),  # a premium machine at Google, with the overhead
            ("0.12", ["1.25"], 1, "0.15"),
        ],
    )
    def test_of_the_rate_card_come_out(
        self, base: str, factors: list[str], hours: float, expected: str
    ) -> None:
        per_hour = rating.rate_per_hour(D(base), [D(one) for one in factors])
        assert rating.cost(per_hour, NOON, NOON, NOON + timedelta(hours=hours)) == D(expected)

    def test_with_a_margin_are_the_customers(self) -> None:
        assert rating.charge_per_hour(D("1.56"), D("0.15")) == D("1.794")


class TestTotal:
    def test_rounds_half_a_millionth_up(self) -> None:
        half = rating.total(D("0.0000005"), NOON, NOON + timedelta(hours=1))
        below = rating.total(D("0.000000499"), NOON, NOON + timedelta(hours=1))
        assert (half, below) == (D("0.000001"), D("0"))

    def test_is_nothing_before_its_origin(self) -> None:
        assert rating.total(D("5"), NOON, NOON - timedelta(hours=1)) == 0

    @given(price=prices, points=st.lists(moments, min_size=2, max_size=12))
    def test_makes_every_split_sum_to_the_whole(self, price: Decimal, points: list[datetime]) -> None:
        points.sort()
        parts = [rating.cost(price, points[0], start, end) for start, end in pairwise(points)]
        assert sum(parts, D("0")) == rating.cost(price, points[0], points[0], points[-1])
        assert all(part >= 0 for part in parts)

    @pytest.mark.django_db
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(rows=st.lists(st.tuples(prices, moments, moments), min_size=1, max_size=40))
    def test_is_the_same_in_the_database(self, rows: list[tuple[Decimal, datetime, datetime]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT billing_total(price, origin, at)"
                " FROM unnest(%s::numeric[], %s::timestamptz[], %s::timestamptz[]) AS rows(price, origin, at)",
                columns,
            )
            found = [row[0] for row in cursor.fetchall()]
        assert found == [rating.total(*row) for row in rows]


class TestCuts:
    @given(start=moments, hours=st.floats(0, 60), zone=st.sampled_from([BERLIN, KOLKATA, UTC_ZONE]))
    def test_leave_no_gap_and_stay_within_an_hour_and_a_day(
        self, start: datetime, hours: float, zone: ZoneInfo
    ) -> None:
        end = start + timedelta(hours=hours)
        pieces = list(rating.cuts(start, end, zone))
        assert [one[0] for one in pieces] == [start, *(one[1] for one in pieces[:-1])][: len(pieces)]
        assert not pieces or pieces[-1][1] == end
        for begin, stop in pieces:
            last = stop - timedelta(microseconds=1)
            assert (begin.date(), begin.hour) == (last.date(), last.hour)
            assert rating.day_of(begin, zone) == rating.day_of(last, zone)

    def test_fall_on_a_midnight_between_full_hours(self) -> None:
        start = datetime(2026, 6, 15, 18, 10, tzinfo=UTC)
        stops = [stop for _, stop in rating.cuts(start, start + timedelta(hours=1), KOLKATA)]
        assert [f"{stop:%H:%M}" for stop in stops] == ["18:30", "19:00", "19:10"]


class TestDays:
    @pytest.mark.parametrize(
        ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 15), 24)]
    )
    def test_have_23_or_25_hours_where_clocks_change(self, day: date, hours: int) -> None:
        begin, end = rating.day_bounds(day, BERLIN)
        assert end - begin == timedelta(hours=hours)
        assert rating.day_of(begin, BERLIN) == day
        assert rating.day_of(end, BERLIN) == day + timedelta(days=1)
