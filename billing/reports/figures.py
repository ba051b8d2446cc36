"""One function for every table and chart: sums over days, narrowed and grouped, in a handful of statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from accounts.models import Department, Project, User
from billing.periods import Period
from billing.rating import amount
from billing.reports.facts import COLUMNS, Fact, Key, Question, centres_of
from billing.sight import Sight

HOUR_US = Decimal(3_600_000_000)
PLACES = Decimal("0.000001")
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


class Row(NamedTuple):
    """The figures of one group. `keys` are its values, in the order of `group_by`; ids have their names in `names`.

    Provider's money: `cost_usd` for `provider_us` microseconds. Customers': `charge_usd` for `charged_us`.
    """

    keys: tuple[Key, ...]
    vms: int
    running_us: int
    charged_us: int
    stopped_us: int
    storage_us: int
    cost_usd: Decimal
    charge_usd: Decimal
    saved_usd: Decimal
    names: tuple[str, ...] = ()

    @property
    def provider_us(self) -> int:
        """How long providers billed machines: running, or stopped and kept."""
        return self.running_us + self.stopped_us

    @property
    def provider_hours(self) -> Decimal:
        return hours(self.provider_us)

    @property
    def charged_hours(self) -> Decimal:
        return hours(self.charged_us)

    @property
    def margin_usd(self) -> Decimal:
        return self.charge_usd - self.cost_usd

    @property
    def cost_per_play_hour(self) -> Decimal | None:
        """What an hour somebody could play has cost us; None when nobody could."""
        return amount(self.cost_usd * HOUR_US / self.charged_us) if self.charged_us else None


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by the larger sum first (days: in order), and the totals of all that was asked for."""

    period: Period
    group_by: tuple[str, ...]
    rows: Sequence[Row]
    totals: Row


def hours(us: int) -> Decimal:
    return (Decimal(us) / HOUR_US).quantize(PLACES)


def report(
    *,
    period: Period,
    sight: Sight,
    now: datetime,
    filters: Filters = EVERYTHING,
    group_by: Iterable[str] = (),
    counts_vms: bool = True,
) -> Report:
    """Sums of a period, for what somebody may see of it. `group_by` names up to two of GROUPS.

    `counts_vms` False leaves `vms` 0. Three statements at most, whatever is asked: which centres, everything, and names.
    """
    names = tuple(group_by)
    question = Question(period, sight.of() & filters.of(), now, names, counts_vms)
    facts, seconds = question.answer()
    rows = _rows(facts, question)
    if not names:
        return Report(period, names, rows, rows[0])
    totals = total_of(rows, sum(one.begun for one in facts) - seconds if counts_vms else 0)
    if "day" in names:
        rows.sort(key=lambda row: (row.keys[names.index("day")], -row.cost_usd, str(row.keys)))
    else:
        rows.sort(key=lambda row: (-(row.cost_usd if sight.shows_cost else row.charge_usd), str(row.keys)))
    return Report(period, names, rows, totals)


def largest(*, period: Period, sight: Sight, now: datetime, by: str, count: int) -> Sequence[Row]:
    """The groups that cost the most, without their VMs."""
    question = Question(period, sight.of(), now, (by,), counts_vms=False, most=count)
    return _rows(question.answer()[0], question)


def _rows(facts: Sequence[Fact], question: Question) -> list[Row]:
    vms: Iterable[int] = (
        _vms_by_day(facts, question) if question.by_day else (one.begun - one.seconds for one in facts)
    )
    told = _names(facts, question.group_by)
    return [
        Row(
            one.keys, count, *one.used,
            tuple(str(key) if known is None else known.get(key, "") for key, known in zip(one.keys, told, strict=True)),
        )
        for one, count in zip(facts, vms, strict=True)
    ]  # fmt: skip


def _vms_by_day(facts: Sequence[Fact], question: Question) -> list[int]:
    """How many VMs each fact's group had on its day: those that were there the day before and did not end, and those that began.

    The first day's `begun` has those that were there before it.
    """
    at = question.group_by.index("day")
    last_day = str(question.counted_to)
    there: dict[tuple[Key, ...], int] = {}
    counted = [0] * len(facts)
    for day, number in sorted((str(one.keys[at]), number) for number, one in enumerate(facts)):
        one = facts[number]
        group = one.keys[:at] + one.keys[at + 1 :]
        present = there.get(group, 0) + one.begun
        there[group] = present - one.ended
        counted[number] = present - one.seconds if day <= last_day else one.begun
    return counted


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
    return Row(
        (), vms, sum(row.running_us for row in rows), sum(row.charged_us for row in rows),
        sum(row.stopped_us for row in rows), sum(row.storage_us for row in rows),
        sum((row.cost_usd for row in rows), Decimal(0)), sum((row.charge_usd for row in rows), Decimal(0)),
        sum((row.saved_usd for row in rows), Decimal(0)),
    )  # fmt: skip


NAMED: Mapping[str, tuple[type[Any], str]] = {
    "project": (Project, "name"),
    "department": (Department, "name"),
    "user": (User, "handle"),
}


def _names(facts: Sequence[Fact], group_by: Sequence[str]) -> Sequence[Mapping[Key, str] | None]:
    """For each group what people call its ids, in one statement; None where a key is a name."""
    found: list[Mapping[Key, str] | None] = []
    for at, group in enumerate(group_by):
        if group not in NAMED:
            found.append(None)
            continue
        model, column = NAMED[group]
        with connection.cursor() as cursor:  # an IN of Django's would hold each of thousands of ids by itself
            cursor.execute(
                f"SELECT id, {column} FROM {model._meta.db_table} WHERE id = ANY(%s)",  # noqa: S608  # our own words only
                [list({one.keys[at] for one in facts} - {None})],
            )
            found.append(dict(cursor.fetchall()))
    return found
