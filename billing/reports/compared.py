"""A report beside the days before it, and day by day for a chart: the days only where the groups are few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q

from billing.periods import DAY, Period
from billing.reports.facts import Question
from billing.reports.figures import EVERYTHING, Filters, Report, report
from billing.reports.rows import Key, Row
from billing.sight import Sight

# Groups of which an installation has so few that every day of each may be carried here.
FEW = frozenset({"provider", "region", "console", "preset", "day"})
OTHERS = "\0"  # no group is called so


@dataclass(frozen=True, slots=True)
class Compared:
    """`before` are as many days directly before: its totals, and rows at least of the report's groups. `days` are by day and the
    groups, where the groups are few.
    """

    report: Report
    before: Report
    days: Sequence[Row] | None


def before(period: Period) -> Period:
    """As many days, directly before."""
    return Period(period.start - period.days * DAY, period.start - DAY, period.zone)


def compared(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    group_by: Iterable[str],
    filters: Filters = EVERYTHING,
    most: int | None = None,
    by: str = "",
) -> Compared:
    """What `report` says of a period, and of the one before it without counting VMs. `most` is for one group that is not the day."""
    names = tuple(group_by)
    earlier = before(period)
    there = report(period=period, sight=sight, now=now, filters=filters, group_by=names, most=most, by=by)
    if len(there.rows) < there.groups:
        whole = report(period=earlier, sight=sight, now=now, filters=filters, counts_vms=False)
        wanted, keys = sight.of() & filters.of(), [row.keys[0] for row in there.rows]
        was = replace(whole, group_by=names, rows=_of_groups(earlier, wanted, now, names, keys))
    else:
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
    """What a chart stacks: by day and group for the groups `shown`, all others together under the key OTHERS; no VMs.

    The others are what is left of each day: a day of all together is one row, a day of each is not.
    """
    wanted = sight.of() & filters.of()
    told = _of_groups(period, wanted, now, ("day", by), shown)
    whole = Question(period, wanted, now, ("day",), counts_vms=False).answer()[0]
    left: dict[Key, Any] = {row.keys[0]: row.used for row in whole}
    for row in told:
        left[row.keys[0]] = tuple(a - b for a, b in zip(left[row.keys[0]], row.used, strict=True))
    return told + [Row((day, OTHERS), 0, *used) for day, used in left.items()]


def _of_groups(
    period: Period, wanted: Q, now: datetime, group_by: tuple[str, ...], keys: Sequence[Key]
) -> list[Row]:
    """The rows of certain keys of the last group, without VMs."""
    name = group_by[-1]
    chosen = [Q(**{f"{name}__in": [key for key in keys if key is not None]})]
    if None in keys:
        chosen.append(Q(**{f"{name}__isnull": True}))
    asked = [Question(period, wanted & one, now, group_by, counts_vms=False) for one in chosen]
    return [row for one in asked for row in one.answer()[0]]
