"""A report beside the days before it, and day by day for a chart: the days only where the groups are few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

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
    report,
    row_of,
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
    """`before` are as many days directly before; `days` are by day and the groups, where the groups are few."""

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
    there = report(period=period, sight=sight, now=now, filters=filters, group_by=names)
    was = report(period=earlier, sight=sight, now=now, filters=filters, group_by=names, counts_vms=False)
    if not FEW.issuperset(names):
        return Compared(there, was, None)
    by_day = ("day", *(name for name in names if name != "day"))
    days = report(period=period, sight=sight, now=now, filters=filters, group_by=by_day, counts_vms=False)
    return Compared(there, was, days.rows)


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
