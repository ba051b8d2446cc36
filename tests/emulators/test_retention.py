"""Which versions are kept, as a sum over numbers and days alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulators.retention import kept

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
AGES = st.lists(st.integers(0, 60 * 24), max_size=60)


def versions(ages_h: list[int]) -> list[tuple[int, datetime]]:
    """Numbered in the order of their time."""
    return [
        (number, NOW - timedelta(hours=age)) for number, age in enumerate(sorted(ages_h, reverse=True), 1)
    ]


class TestKept:
    def test_is_everything_while_there_is_little(self) -> None:
        assert kept(versions([900, 800, 700]), newest=3, days=0, now=NOW) == {1, 2, 3}

    def test_is_the_last_one_of_each_day_beyond_that(self) -> None:
        # On the 12th at 10 and 14, on the 13th at 9, today at 11; the oldest is older than four days.
        known = versions([100, 74, 70, 51, 1])
        assert kept(known, newest=1, days=4, now=NOW) == {3, 4, 5}

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(AGES, st.integers(1, 10), st.integers(0, 40))
    def test_holds_the_newest_and_one_of_each_day_and_nothing_else(
        self, ages: list[int], newest: int, days: int
    ) -> None:
        known = versions(ages)
        found = kept(known, newest=newest, days=days, now=NOW)
        numbers = [number for number, _ in known]
        assert set(numbers[-newest:]) <= found <= set(numbers)
        recent = [(number, at) for number, at in known if at >= NOW - timedelta(days=days)]
        assert {at.date() for number, at in recent if number in found} == {at.date() for _, at in recent}
        assert len(found) <= newest + days + 1
