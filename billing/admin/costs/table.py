"""The table of a report: its columns as they read, sorted as asked, each line with the links that lead on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from billing.admin.costs.form import Question
from billing.admin.wording import NONE, usd
from billing.periods import DAY
from billing.reports import Report, Row
from billing.reports.rows import Key, hours

AT_ONCE = 50
MANY_PERCENT = 900
MINUS, NO_NAME = "\N{MINUS SIGN}", "none"
Cell = tuple[str, str]  # as it reads, and exactly


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a row, how it reads, and the word that sorts by it in an address."""

    name: str
    title: str
    value: Callable[[Row], Decimal | int | None]
    cell: Callable[[Any], Cell]
    hint: str = ""


def dollars(value: Decimal | None, places: int = 2) -> Cell:
    if value is None:
        return NONE, ""
    sign = MINUS if round(value, places) < 0 else ""  # what is rounded to nothing has none
    return f"{sign}${abs(value):,.{places}f}", usd(value)


def _hours(us: int) -> Cell:
    return f"{hours(us):,.1f}", f"{hours(us):f} h"


def _count(value: int) -> Cell:
    return f"{value:,}", ""


def percentage(value: Decimal | None) -> Cell:
    return (NONE if value is None else f"{value:z,.1f} %".replace("-", MINUS)), ""


def margin_percent(row: Row) -> Decimal | None:
    """Our share on top of what providers ask, as the margin is set."""
    return 100 * row.margin_usd / row.cost_usd if row.cost_usd else None


# Money first: on a phone that is what is there without scrolling.
COLUMNS: Sequence[Column] = (
    Column("cost", "Cost", lambda row: row.cost_usd, dollars, "What providers ask"),
    Column("charge", "Charge", lambda row: row.charge_usd, dollars, "What customers pay"),
    Column("margin", "Margin", lambda row: row.margin_usd, dollars, "Charge minus cost"),
    Column("share", "Margin %", margin_percent, percentage, "Of the cost"),
    Column("each", "Cost / play h", lambda row: row.cost_per_play_hour, lambda value: dollars(value, 3)),
    Column("vms", "VMs", lambda row: row.vms, _count),
    Column("hours", "Machine h", lambda row: row.provider_us, _hours, "As providers bill them: running, or stopped and kept"),
    Column("play", "Play h", lambda row: row.charged_us, _hours, "While somebody could play"),
)  # fmt: skip
VALUES: Mapping[str, Callable[[Row], Any]] = {one.name: one.value for one in COLUMNS}
SORTS = ("name", *VALUES, "change")
# What one row is called in words, and its figure for the charts.
MEASURED: Mapping[str, Callable[[Row], Decimal]] = {
    "cost": lambda row: row.cost_usd,
    "charge": lambda row: row.charge_usd,
    "margin": lambda row: row.margin_usd,
    "hours": lambda row: row.provider_hours,
    "play": lambda row: row.charged_hours,
}


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    cells: Sequence[Cell]
    change: Cell
    narrowed: str
    intervals: str


@dataclass(frozen=True, slots=True)
class Head:
    title: str
    hint: str
    url: str
    order: str  # aria-sort's words, empty when it is not the one


@dataclass(frozen=True, slots=True)
class Table:
    heads: Sequence[Head]
    lines: Sequence[Line]
    total: Line
    count: int
    first: int
    last: int
    earlier: str
    later: str


def name_of(row: Row) -> str:
    """A row in words; for figures without groups nothing."""
    return " · ".join(
        _word(key, name) for key, name in zip(row.keys, row.names or map(str, row.keys), strict=True)
    )


def _word(key: Key, name: str) -> str:
    if isinstance(key, date):
        return f"{key:%Y-%m-%d %a}"
    return NO_NAME if key in (None, "") else name or f"#{key}"


def change_of(value: Decimal, before: Decimal, unit: str = "$") -> Cell:
    """How much more or less than before: in percent, and as a multiple where that says more."""
    if not before:
        return ("new" if value else NONE), ""
    exact = f"{usd(before) if unit == '$' else f'{before:f} {unit}'} before"
    percent = round(100 * (value - before) / abs(before))  # of a loss, too, less of it is more
    if percent >= MANY_PERCENT and before > 0:
        return f"× {value / before:,.0f}", exact
    sign = "+" if percent > 0 else MINUS if percent < 0 else ""  # what is rounded to nothing has none
    return f"{sign}{abs(percent):,.0f} %", exact


def ordered(report: Report, question: Question, before: Mapping[tuple[Key, ...], Row]) -> list[Row]:
    """The rows as the address sorts them: `cost` from the least, `-cost` from the most; what has no figure comes last."""
    name, is_down = question.order.lstrip("-"), question.order.startswith("-")
    if name not in SORTS:
        name, is_down = "cost", True
    if name == "name":
        return sorted(report.rows, key=lambda row: name_of(row).lower(), reverse=is_down)

    def figure(row: Row) -> Any:
        if name != "change":
            return VALUES[name](row)
        was = before.get(row.keys)
        return row.cost_usd / was.cost_usd if was is not None and was.cost_usd else None

    known = [(figure(row), row) for row in report.rows]
    there = sorted(
        ((value, row) for value, row in known if value is not None), key=lambda one: one[0], reverse=is_down
    )
    return [row for _, row in there] + [row for value, row in known if value is None]


def needed(question: Question) -> int | None:
    """How many of the largest rows the page needs; None: all of them."""
    return question.page * AT_ONCE if question.largest else None


def table_of(report: Report, before: Report, question: Question) -> Table:
    # A day is set against the day as far back as the whole period is.
    days = question.period.days if "day" in question.group_by else 0
    was = {tuple(_later(key, days) for key in row.keys) if days else row.keys: row for row in before.rows}
    rows = ordered(report, question, was)
    pages = max(1, -(-report.groups // AT_ONCE))
    page = min(question.page, pages)
    first = (page - 1) * AT_ONCE
    return Table(
        heads=list(_heads(question)),
        lines=[_line(row, was.get(row.keys), question) for row in rows[first : first + AT_ONCE]],
        total=Line(
            "Total", _cells(report.totals), change_of(report.totals.cost_usd, before.totals.cost_usd), "", question.intervals()
        ),
        count=report.groups, first=first + 1, last=min(first + AT_ONCE, report.groups),
        earlier=question.url(page=str(page - 1)) if page > 1 else "",
        later=question.url(page=str(page + 1)) if page < pages else "",
    )  # fmt: skip


def _later(key: Key, days: int) -> Key:
    return key + days * DAY if isinstance(key, date) else key


def _heads(question: Question) -> Iterator[Head]:
    named = (" and ".join(name.capitalize() for name in question.group_by), "", "name")
    asked = [named, *((one.title, one.hint, one.name) for one in COLUMNS)]
    for title, hint, name in (*asked, ("Change", "Of the cost, against as many days before", "change")):
        order = {name: "ascending", f"-{name}": "descending"}.get(question.order, "")
        other = f"-{name}" if order != "descending" else name
        if name == "name" and not order:
            other = name
        yield Head(title, hint, question.url(sort=other), order)


def _cells(row: Row) -> list[Cell]:
    return [one.cell(one.value(row)) for one in COLUMNS]


def _line(row: Row, was: Row | None, question: Question) -> Line:
    return Line(
        name_of(row), _cells(row), change_of(row.cost_usd, was.cost_usd if was is not None else Decimal(0)),
        question.narrowed(row.keys), question.intervals(row.keys),
    )  # fmt: skip
