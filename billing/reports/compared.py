"""A report beside the days before it, and day by day for a chart: in one pass over the daily sums where the groups are few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from django.db import connection

from billing.periods import DAY, Period
from billing.reports.figures import (
    EVERYTHING,
    FACTS,
    GROUPS,
    JOIN,
    Filters,
    Key,
    Question,
    Report,
    Row,
    chosen_centres,
    machines_of,
    report,
    row_of,
    total_of,
)
from billing.sight import Sight

# Groups of which an installation has so few that every day of each may be carried here.
FEW = frozenset({"provider", "region", "console", "preset", "day"})
OTHERS = "\0"  # no group is called so
# A chart has room for a few groups: the rest is one.
FOLDED = f"""
    SELECT facts.day, {{is_shown}} AS is_shown, CASE WHEN {{is_shown}} THEN {{column}} END AS key,
           sum(facts.running_us), sum(facts.charged_us), sum(facts.stopped_us), sum(facts.storage_us),
           sum(facts.cost_usd), sum(facts.charge_usd)
    FROM ({FACTS}) AS facts {{join}} GROUP BY 1, 2, 3 ORDER BY 1
"""  # noqa: S608  # our own words only


@dataclass(frozen=True, slots=True)
class Compared:
    """`before` are as many days directly before; `days` are by day and the groups, where they came along anyway."""

    report: Report
    before: Report
    days: Sequence[Row] | None


def before(period: Period) -> Period:
    """As many days, directly before."""
    return Period(period.start - period.days * DAY, period.start - DAY, period.zone)


def compared(
    *, period: Period, sight: Sight, now: datetime, group_by: Iterable[str], filters: Filters = EVERYTHING
) -> Compared:
    """What `report` says of a period, and of the one before it without counting VMs."""
    names = tuple(group_by)
    earlier = before(period)
    if not FEW.issuperset(names):
        there = report(period=period, sight=sight, now=now, filters=filters, group_by=names)
        was = report(period=earlier, sight=sight, now=now, filters=filters, group_by=names, counts_vms=False)
        return Compared(there, was, None)
    groups = tuple(name for name in names if name != "day")
    both = Period(earlier.start, period.end, period.zone)
    found = report(
        period=both, sight=sight, now=now, filters=filters, group_by=("day", *groups), counts_vms=False
    ).rows
    machines, vms = machines_of(Question(period, chosen_centres(sight, filters), now, names))
    days = [row for row in found if _day(row) >= period.start]
    rows = [replace(row, vms=machines.get(row.keys, 0)) for row in _folded(days, names)]
    was_rows = _folded([row for row in found if _day(row) < period.start], names)
    return Compared(
        Report(period, names, rows, total_of(rows, vms)), Report(earlier, names, was_rows, total_of(was_rows, 0)), days
    )  # fmt: skip


def _day(row: Row) -> date:
    day = row.keys[0]
    assert isinstance(day, date)
    return day


def _folded(rows: Sequence[Row], names: tuple[str, ...]) -> list[Row]:
    """Rows by day and groups as rows by `names`, which has the groups in the same order and the day anywhere, or not at all."""
    groups = [name for name in names if name != "day"]
    places = [0 if name == "day" else 1 + groups.index(name) for name in names]
    parts: dict[tuple[Key, ...], list[Row]] = {}
    for row in rows:
        parts.setdefault(tuple(row.keys[place] for place in places), []).append(row)
    return [
        replace(total_of(some, 0), keys=keys, names=tuple(some[0].names[place] for place in places))
        for keys, some in parts.items()
    ]


def daily(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    by: str,
    shown: Sequence[Key],
    filters: Filters = EVERYTHING,
) -> Sequence[Row]:
    """What a chart stacks: by day and group for the groups `shown`, all others together under the key OTHERS; no VMs."""
    question = Question(period, chosen_centres(sight, filters), now, ("day", by))
    column = GROUPS[by]
    told = f"{column} IS NULL OR" if None in shown else ""
    asked = [key for key in shown if key is not None]
    with connection.cursor() as cursor:
        cursor.execute(
            FOLDED.format(
                column=column, is_shown=f"({told} {column} = ANY(%(shown)s))", join=JOIN.format(table="facts"),
                narrow="AND centre_id = ANY(%(centres)s)" if question.centres is not None else "",
            ),
            {**question.parameters, "shown": asked},
        )  # fmt: skip
        found = cursor.fetchall()
    return [row_of((day, key if is_shown else OTHERS), 0, sums) for day, is_shown, key, *sums in found]
