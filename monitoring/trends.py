"""Where a row of values is heading: a straight line by least squares. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Line:
    """`slope` per hour; `now` is the line's value at the last moment; `fit` is R², 1 for a perfect line, 0 for none."""

    slope: float
    now: float
    fit: float

    def hours_until(self, level: float) -> float | None:
        """Hours from the last moment until the line reaches a level above it; None when it never does."""
        if self.now >= level:
            return 0.0
        return (level - self.now) / self.slope if self.slope > 0 else None


def line(seconds: Sequence[float], values: Sequence[float]) -> Line | None:
    """The line through values at moments, in rising order; None for less than three, which any line would fit."""
    count = len(values)
    if count < 3:
        return None
    mean_x, mean_y = sum(seconds) / count, sum(values) / count
    across = [x - mean_x for x in seconds]
    up = [y - mean_y for y in values]
    spread = sum(x * x for x in across)
    if not spread:
        return None
    together = sum(x * y for x, y in zip(across, up, strict=True))
    scatter = sum(y * y for y in up)
    slope = together / spread
    fit = together * together / (spread * scatter) if scatter else 1.0
    return Line(slope * SECONDS_PER_HOUR, mean_y + slope * across[-1], min(1.0, fit))
