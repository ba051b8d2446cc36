"""What is read of a subject: steps of a window, a summary, where it is heading. Each is one statement over one subject's rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from gamer.errors import bad_field
from monitoring import statements
from monitoring.measures import EPOCH, NAMES, POSITIONS, floor
from monitoring.models import Progress, Sample
from monitoring.trends import Line, line

STEPS_S = (5, 15, 30, 60, 300, 900, 3600, 21_600, 86_400)
AGGREGATES = tuple(statements.AGGREGATES)
MOST_POINTS = 500
USUAL_POINTS = 120
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DISK_FULL = 100.0
# What is averaged to tell whether a subject is busy now.
LATELY = timedelta(minutes=2)
MOST_BUSY = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """A window cut into steps, the last of which holds its end. `level` is the finest rows it may be read from."""

    since: datetime
    until: datetime
    step: timedelta
    level: str

    @property
    def moments(self) -> list[datetime]:
        """Where the steps begin."""
        return [self.since + number * self.step for number in range((self.until - self.since) // self.step)]


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each moment and measure; None where nothing was measured."""

    span: Span
    aggregate: str
    values: dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One measure over a window. `latest` is None when the newest sample has no such value."""

    latest: float | None
    avg: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Every measure that has a value in the window; `latest_at` is the newest sample's, also one before the window."""

    span: Span
    latest_at: datetime | None
    metrics: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Trends:
    """The line of each measure that has one, and when the disk is full if it goes on like that."""

    span: Span
    lines: dict[str, Line]
    disk_full_at: datetime | None


def span(*, window: timedelta, step: timedelta | None, now: datetime) -> Span:
    """The window before `now` in steps, by itself in about a hundred. Raises ValidationError naming `step` or `window`."""
    kept = settings.METRICS_KEPT
    if window > kept["hour"]:
        raise bad_field("window", f"Values are kept for {_words(kept['hour'])}.")
    if step is not None:
        chosen = step
    else:
        steps = [timedelta(seconds=seconds) for seconds in STEPS_S]
        fitting = [one for one in steps if window / one <= USUAL_POINTS and window <= kept[_level(one)]]
        chosen = fitting[0] if fitting else steps[-1]
    if window > kept[_level(chosen)]:
        raise bad_field("step", f"Values as fine as that are kept for {_words(kept[_level(chosen)])}.")
    if window / chosen > MOST_POINTS:
        least = next(each for each in STEPS_S if window / timedelta(seconds=each) <= MOST_POINTS)
        raise bad_field("step", f"At most {MOST_POINTS} steps: {least} s or more for this window.")
    until = floor(now, chosen) + chosen
    return Span(until - max(1, -(-window // chosen)) * chosen, until, chosen, _level(chosen))


def _level(step: timedelta) -> str:
    """The coarsest rows that a step is made of."""
    return "sample" if step < MINUTE else "minute" if step < HOUR else "hour"


def _words(kept: timedelta) -> str:
    return f"{kept.days} days" if kept.days else f"{kept // HOUR} hours"


def series(*, subject: UUID, span: Span, aggregate: str = "avg", names: Collection[str] = NAMES) -> Series:
    """The steps of a window, of the named measures."""
    chosen = [name for name in NAMES if name in names]
    rows = _read(subject, span, chosen, (aggregate,))
    known = {row[0]: row[1:] for row in rows}
    nothing: tuple[float | None, ...] = (0 if aggregate == "count" else None,) * len(chosen)
    steps = [known.get(moment, nothing) for moment in span.moments]
    return Series(
        span, aggregate, {name: [_tidy(step[place]) for step in steps] for place, name in enumerate(chosen)}
    )


def summary(*, subject: UUID, span: Span) -> Summary:
    """The newest sample, and each measure over all of the window."""
    newest = latest(subject=subject)
    last = dict(zip(NAMES, newest.numbers, strict=False)) if newest is not None else {}
    whole = Span(span.since, span.until, span.until - span.since, span.level)
    found: dict[str, Figures] = {}
    for row in _read(subject, whole, NAMES, ("avg", "min", "max", "count"), origin=span.since):
        for place, name in enumerate(NAMES):
            avg, low, high, count = row[1 + 4 * place : 5 + 4 * place]
            if count:
                found[name] = Figures(
                    _tidy(last.get(name)), round(avg, 3), round(low, 3), round(high, 3), int(count)
                )
    return Summary(span, newest.at if newest is not None else None, found)


def trends(*, subject: UUID, span: Span) -> Trends:
    """A line through the means of the window's steps."""
    known = series(subject=subject, span=span)
    lines: dict[str, Line] = {}
    seconds = [(moment - span.since).total_seconds() for moment in span.moments]
    for name, values in known.values.items():
        points = [(at, value) for at, value in zip(seconds, values, strict=True) if value is not None]
        found = line([at for at, _ in points], [value for _, value in points])
        if found is not None:
            lines[name] = found
    return Trends(span, lines, _full_at(lines.get("disk_used_percent"), known))


def _full_at(disk: Line | None, known: Series) -> datetime | None:
    """When the line reaches the top, when that is before the end of the calendar; from the last moment that has a value."""
    hours = disk.hours_until(DISK_FULL) if disk is not None else None
    if hours is None or hours > 100 * 365 * 24:
        return None
    values = known.values["disk_used_percent"]
    last = max(place for place, value in enumerate(values) if value is not None)
    return known.span.moments[last] + timedelta(hours=hours)


def latest(*, subject: UUID) -> Sample | None:
    """The newest sample, as long as it is kept."""
    return Sample.objects.filter(subject=subject).order_by("-at").first()


def busy(*, name: str, least: float, now: datetime) -> list[UUID]:
    """Subjects whose mean of the last two minutes is at least that; a thousand at most."""
    statement = statements.BUSY.format(n=POSITIONS[name] + 1)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"since": now - LATELY, "least": least, "most": MOST_BUSY})
        return [row[0] for row in cursor.fetchall()]


def _read(
    subject: UUID, span: Span, names: Sequence[str], aggregates: Sequence[str], origin: datetime = EPOCH
) -> list[tuple[Any, ...]]:
    until = dict(Progress.objects.values_list("level", "until"))
    minutes_until = span.since if span.level == "sample" else until.get("minute", span.since)
    hours_until = until.get("hour", span.since) if span.level == "hour" else span.since
    statement = statements.window([POSITIONS[name] for name in names], aggregates)
    values: dict[str, Any] = {
        "subject": subject,
        "since": span.since,
        "until": span.until,
        "step": span.step,
        "origin": origin,
        "hours_until": hours_until,
        "minutes_until": minutes_until,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _tidy(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
