"""Lines by least squares, against numpy's."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from monitoring.trends import line

Values = some.lists(some.floats(-1000, 1000, width=32), min_size=3, max_size=60)


class TestLine:
    @given(Values)
    def test_is_the_least_squares_line(self, values):
        seconds = [300.0 * number for number in range(len(values))]
        found = line(seconds, values)
        slope, base = numpy.polyfit(seconds, values, 1)
        assert found.slope == pytest.approx(slope * 3600, abs=1e-3)
        assert found.now == pytest.approx(base + slope * seconds[-1], abs=1e-3)
        assert 0 <= found.fit <= 1

    @pytest.mark.parametrize(
        ("values", "slope", "fit"),
        [([1, 2, 3, 4], 12, 1), ([5, 5, 5], 0, 1), ([9, 6, 3], -36, 1), ([1, 9, 1], 0, 0)],
    )
    def test_of_simple_values_is_what_one_sees(self, values, slope, fit):
        found = line([300.0 * number for number in range(len(values))], values)
        assert (round(found.slope, 6), round(found.fit, 6)) == (slope, fit)

    @pytest.mark.parametrize("seconds", [[], [0], [0, 300], [7, 7, 7]])
    def test_needs_three_moments(self, seconds):
        assert line(seconds, [float(one) for one in seconds]) is None


class TestLevel:
    def test_is_reached_when_the_line_says_so(self):
        found = line([0, 1800, 3600], [50, 55, 60])
        assert found.hours_until(100) == pytest.approx(4)
        assert found.hours_until(60) == found.hours_until(10) == 0

    def test_is_never_reached_going_down_or_level(self):
        assert line([0, 1800, 3600], [60, 55, 50]).hours_until(100) is None
        assert line([0, 1800, 3600], [60, 60, 60]).hours_until(100) is None
