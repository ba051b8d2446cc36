"""What the page's script draws: plain numbers and names. A few groups have colours of their own, all others share one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.admin.costs.form import MEASURES, Question
from billing.admin.costs.table import MEASURED, NO_NAME
from billing.periods import Period
from billing.reports import Compared, Report, Row, daily
from billing.reports.compared import OTHERS
from billing.reports.rows import Key
from billing.sight import Sight

COLOURED = 6  # the seventh colour is everybody else's
BARS = 10
ALL = "All"


def charts_of(found: Compared, question: Question, sight: Sight, now: datetime) -> dict[str, Any]:
    """`days` with one number per day and group; `groups` the largest of them; `legend` their names in the order of colours."""
    report, measure, by = found.report, MEASURED[question.measure], question.stacked_by
    told: dict[str, Any] = {
        "unit": "h" if question.measure in ("hours", "play") else "$",
        "title": MEASURES[question.measure],
    }
    if by is None:
        whole = [(row.keys[0], ALL, measure(row)) for row in report.rows]
        return {**told, **stacked(question.period, whole, {ALL: ALL}), "groups": None}
    sums = _sums(report, question.group_by.index(by), measure)
    names = {key: name for key, (name, _) in sums.items()}
    largest = sorted(sums, key=lambda key: (-abs(sums[key][1]), str(key)))
    shown = {key: names[key] for key in largest[:COLOURED]}
    if len(largest) == COLOURED + 1:  # the one left over may have the colour to itself
        shown[largest[-1]] = names[largest[-1]]
    days = [
        (row.keys[0], row.keys[1], measure(row))
        for row in _by_day(found, question, by, list(shown), sight, now)
    ]
    bars = [(names[key], sums[key][1], min(at, COLOURED)) for at, key in enumerate(largest[:BARS])]
    # Of one group, the report may have no more rows than are shown.
    others = (report.groups if len(question.group_by) == 1 else len(sums)) - len(bars)
    if others:
        left = measure(report.totals) - sum(value for _, value, _ in bars)
        bars.append((f"{others} others", left, COLOURED))
    groups = {
        "labels": [name for name, _, _ in bars],
        "values": [float(value) for _, value, _ in bars],
        "colours": [colour for _, _, colour in bars],
    }
    return {**told, **stacked(question.period, days, shown), "groups": groups}


def _by_day(
    found: Compared, question: Question, by: str, shown: Sequence[Key], sight: Sight, now: datetime
) -> Iterable[Row]:
    """Rows whose keys begin with the day and the stacked group."""
    if found.days is not None:
        return found.days
    return daily(period=question.period, sight=sight, now=now, by=by, shown=shown, filters=question.filters)


def stacked(
    period: Period, figures: Iterable[tuple[Any, Any, Decimal]], names: Mapping[Any, str]
) -> dict[str, Any]:
    """Figures by day and key as one row of numbers for each key of `names`, in their order, and one for the rest, if any."""
    at = {day: number for number, day in enumerate(period.each())}
    sums: dict[Any, list[Decimal]] = {key: [Decimal(0)] * len(at) for key in names}
    for day, key, value in figures:
        row = sums.setdefault(key if key in names else OTHERS, [Decimal(0)] * len(at))
        row[at[day]] += value
    series = [
        {"name": names.get(key, "all others"), "colour": min(number, COLOURED), "values": [float(one) for one in values]}
        for number, (key, values) in enumerate(sums.items())
    ]  # fmt: skip
    return {"days": [str(day) for day in at], "series": series}


def cost_by_provider(rows: Sequence[Row], period: Period) -> dict[str, Any]:
    """The front page's chart, of rows by day and provider."""
    sums: dict[Key, Decimal] = {}
    for row in rows:
        sums[row.keys[1]] = sums.get(row.keys[1], Decimal(0)) + row.cost_usd
    largest = sorted(sums, key=lambda key: (-sums[key], str(key)))[:COLOURED]
    days = [(row.keys[0], row.keys[1], row.cost_usd) for row in rows]
    return {
        "unit": "$",
        "title": MEASURES["cost"],
        **stacked(period, days, {key: str(key) for key in largest}),
        "groups": None,
    }


def _sums(report: Report, at: int, measure: Any) -> dict[Key, tuple[str, Decimal]]:
    """By the key of the stacked group: its name, and its figure over all other groups."""
    sums: dict[Key, tuple[str, Decimal]] = {}
    for row in report.rows:
        key = row.keys[at]
        name = NO_NAME if key in (None, "") else row.names[at] or f"#{key}"
        sums[key] = (name, sums.get(key, ("", Decimal(0)))[1] + measure(row))
    return sums
