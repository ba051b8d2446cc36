"""One function for every table and chart: sums over days, narrowed and grouped, in a handful of statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from billing.models import CostCentre
from billing.periods import Period
from billing.reports.facts import COLUMNS, Question, centres_of
from billing.reports.rows import Key, Row
from billing.sight import Sight
from gamer.errors import bad_field

# What figures are grouped by.
GROUPS: Sequence[str] = (*COLUMNS, "day")

# Narrows to what has no region, console …, or no project, department or user: rows of a report have a key for those, too.
NO_TEXT, NO_ID = "-", 0


@dataclass(frozen=True, slots=True)
class Filters:
    """What a report is narrowed to; projects and departments by primary key, users by it or by their handle.

    NO_TEXT and NO_ID ask for what has none.
    """

    provider: str = ""
    region: str = ""
    console: str = ""
    preset: str = ""
    project: int | None = None
    department: int | None = None
    user: int | None = None
    user__handle: str = ""

    def of(self) -> Q:
        chosen = Q()
        for one in fields(self):
            value = getattr(self, one.name)
            if value == NO_ID:
                chosen &= Q(**{f"{one.name}__isnull": True})
            elif value not in ("", None):
                chosen &= Q(**{one.name: "" if value == NO_TEXT else value})
        return chosen


EVERYTHING = Filters()


def of_one_person(filters: Filters, sight: Sight) -> Filters:
    """The same by the person whom a handle means, among those whose use is seen and chosen: within a department who is of it now.

    Several departments may have somebody of one handle, whose sum would be nobody's: raises ValidationError naming `user_id`.
    """
    if not filters.user__handle:
        return filters
    within = filters.department or sight.department_id
    chosen = CostCentre.objects.filter(sight.of() & filters.of())
    people = dict(chosen.values_list("user_id", "user__department_id").distinct())
    if len(people) > 1 and within:
        people = {pk: of for pk, of in people.items() if of == within} or people
    if len(people) > 1:
        raise bad_field("user_id", "several departments have a user of this name: name the department, too")
    return replace(filters, user__handle="", user=next(iter(people))) if people else filters


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by the larger sum first (days: in order), and the totals of all that was asked for, which is `groups` rows."""

    period: Period
    group_by: tuple[str, ...]
    rows: Sequence[Row]
    totals: Row
    groups: int


def report(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    filters: Filters = EVERYTHING,
    group_by: Iterable[str] = (),
    counts_vms: bool = True,
    most: int | None = None,
    by: str = "",
) -> Report:
    """Sums of a period, for what somebody may see of it. `group_by` names up to two of GROUPS; `most` is how many rows.

    These are the largest `by` an expression over `facts.USED`, or else by the money that is shown.
    `counts_vms` False leaves `vms` 0. Two statements at most, whatever is asked: which centres, and everything.
    """
    names = tuple(group_by)
    largest_first = by or ("cost_usd" if sight.shows_cost else "charge_usd")
    question = Question(period, sight.of() & filters.of(), now, names, counts_vms, most, largest_first)
    rows, totals, groups = question.answer()
    return Report(period, names, rows, totals, groups)


def series(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    filters: Filters = EVERYTHING,
    by: str | None = None,
    counts_vms: bool = True,
) -> Sequence[Row]:
    """One row for every day of the period, also for those without use; with `by`, one per day and group."""
    names = ("day", by) if by else ("day",)
    found = report(
        period=period, sight=sight, now=now, filters=filters, group_by=names, counts_vms=counts_vms
    ).rows
    if by is not None:
        return found
    of_day = {row.keys[0]: row for row in found}
    return [of_day.get(day) or _nothing((day,)) for day in period.each()]


def chosen_centres(sight: Sight, filters: Filters) -> Sequence[int] | None:
    """The cost centres asked for; None for all of them."""
    return centres_of(sight.of() & filters.of())


def _nothing(keys: tuple[Key, ...]) -> Row:
    return Row(keys, 0, 0, 0, 0, 0, Decimal(0), Decimal(0), Decimal(0))


def total_of(rows: Sequence[Row], vms: int) -> Row:
    if not rows:
        return _nothing(())._replace(vms=vms)
    sums: list[Any] = [sum(column) for column in zip(*(row[2:-1] for row in rows), strict=True)]
    return Row((), vms, *sums)
