"""What is measured, and what of it can be true. Pure.

A row keeps its numbers by position in `MEASURES`, so a new one goes to the end and none is ever moved or taken out; no
migration is needed, and older rows are simply too short to have it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# A subject has at most one sample in each of these steps, however often it speaks.
GRAIN = timedelta(seconds=5)
# A subject's clock may be ahead of ours by so much; what it could not tell in time it may tell for so long.
AHEAD, LATE = timedelta(minutes=5), timedelta(hours=1)
MOST_SAMPLES = 64

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured. A value outside `low` to `high` is no measurement."""

    name: str
    unit: str
    meaning: str
    high: float
    low: float = 0.0


MEASURES: tuple[Measure, ...] = (
    Measure("cpu_percent", "%", "processor, busy share of all cores", 100),
    Measure("ram_used_mb", "MiB", "memory in use", 2**26),
    Measure("disk_used_percent", "%", "disk, used share", 100),
    Measure("load", "", "processes that want to run, mean of a minute", 100_000),
    Measure("received_mbps", "Mbit/s", "network, received", 1_000_000),
    Measure("sent_mbps", "Mbit/s", "network, sent", 1_000_000),
    Measure("gpu_percent", "%", "graphics processor, busy share", 100),
    Measure("gpu_ram_used_mb", "MiB", "graphics memory in use", 2**24),
    Measure("gpu_ram_mb", "MiB", "graphics memory there is", 2**24),
    Measure("gpu_celsius", "°C", "graphics processor, temperature", 200, -50),
    Measure("gpu_encoder_percent", "%", "video encoder, busy share", 100),
    Measure("games", "", "games that run", 1000),
    Measure("is_playing", "", "1 while somebody plays, else 0", 1),
)
NAMES: tuple[str, ...] = tuple(one.name for one in MEASURES)
POSITIONS: Mapping[str, int] = {name: position for position, name in enumerate(NAMES)}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a subject measured at one moment: values by name."""

    at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A reading as it is kept: its step in time, and its numbers by position."""

    at: datetime
    numbers: tuple[float | None, ...]


def floor(moment: datetime, step: timedelta) -> datetime:
    """The beginning of the step a moment lies in; days begin at midnight UTC."""
    return moment - (moment - EPOCH) % step


def sift(readings: Sequence[Reading], now: datetime) -> tuple[list[Row], dict[str, int]]:
    """The readings that can be kept, each step once, and how many were refused, by the reason.

    `many`, `future`, `old` and `again` are readings; `unknown` and `impossible` single values, whose reading is kept without
    them; `empty` is one with nothing left.
    """
    refused: dict[str, int] = {}

    def refuse(reason: str, count: int = 1) -> None:
        refused[reason] = refused.get(reason, 0) + count

    if len(readings) > MOST_SAMPLES:
        refuse("many", len(readings) - MOST_SAMPLES)
    kept: dict[datetime, Row] = {}
    for reading in readings[:MOST_SAMPLES]:
        if reading.at > now + AHEAD:
            refuse("future")
        elif reading.at < now - LATE:
            refuse("old")
        elif (at := floor(reading.at, GRAIN)) in kept:
            refuse("again")
        else:
            numbers = _numbers(reading.values, refuse)
            if any(number is not None for number in numbers):
                kept[at] = Row(at, numbers)
            else:
                refuse("empty")
    return list(kept.values()), refused


def _numbers(values: Mapping[str, float], refuse: Callable[[str], None]) -> tuple[float | None, ...]:
    numbers: list[float | None] = [None] * len(MEASURES)
    for name, value in values.items():
        position = POSITIONS.get(name)
        if position is None:
            refuse("unknown")
        elif not math.isfinite(value) or not MEASURES[position].low <= value <= MEASURES[position].high:
            refuse("impossible")
        else:
            numbers[position] = value
    return tuple(numbers)
