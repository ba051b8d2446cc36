"""Reports to take along: the table, up to a bound, or every interval behind it, as CSV or XLSX. Memory stays flat however many."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.db import transaction
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from accounts.principal import at_admin
from billing.admin.costs.form import Question
from billing.admin.costs.table import margin_percent, ordered
from billing.reports import Report, report
from billing.reports import intervals as lines
from billing.reports.rows import Row
from billing.sight import Sight
from events.services import Happening, record
from gamer.moments import written
from gamer.web.streaming import attached, streamed

WHATS = ("table", "intervals")
FORMATS = ("csv", "xlsx")
SHEET_ROWS = 1_048_576  # Excel's own limit, the heads included
TABLE_ROWS = 100_000  # they are sorted in memory
PIECE = 500
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A spreadsheet takes a text that begins so for a formula, and names are anybody's to choose.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
FIGURES = (
    "vms", "machine_hours", "play_hours", "cost_usd", "charge_usd", "margin_usd", "margin_percent_of_cost", "cost_usd_per_play_hour",
)  # fmt: skip


class TooLongError(Exception):
    """There are too many rows; the message says how to ask for fewer."""

    def __init__(self, text: str = "a sheet of Excel can hold: take the CSV, or fewer days") -> None:
        super().__init__(f"There are more rows than {text}.")


def export(
    request: HttpRequest, question: Question, *, what: str, form: str, sight: Sight, now: datetime
) -> HttpResponseBase:
    """The file, and the event that says who took it. Raises TooLongError before anything of it is sent."""
    if form == "xlsx" and what == "intervals":
        most = SHEET_ROWS - 1  # soon known of what is closed; what runs is counted as it is written
        if lines.count(period=question.period, sight=sight, filters=question.filters, most=most) > most:
            raise TooLongError
    head, rows = _table(question, sight, now) if what == "table" else _intervals(question, sight, now)
    book = None
    if form == "xlsx":
        with closing(rows):
            book = _xlsx(head, rows)
    told = {
        "what": what,
        "format": form,
        "from": str(question.period.start),
        "to": str(question.period.end),
        **question.asked,
    }
    with transaction.atomic():
        record(Happening(now, at_admin(request).label, "export", "billing", "costs", told))
    name = f"costs-{what}-{question.period.start}-{question.period.end}.{form}"
    if book is not None:
        return FileResponse(book, content_type=XLSX, headers=attached(name))
    return streamed(request, _csv(head, rows), content_type="text/csv; charset=utf-8", filename=name)


def _table(question: Question, sight: Sight, now: datetime) -> tuple[Sequence[str], Generator[Sequence[Any]]]:
    found = report(
        period=question.period,
        sight=sight,
        now=now,
        filters=question.filters,
        group_by=question.group_by,
        most=TABLE_ROWS,
    )
    if found.groups > TABLE_ROWS:
        raise TooLongError(
            f"the {TABLE_ROWS:,} of a table: take fewer days, group by less, or filter; intervals have no such bound"
        )
    return [*question.group_by, *FIGURES], _figures(found, question)


def _figures(found: Report, question: Question) -> Generator[Sequence[Any]]:
    for row in ordered(found, question, {}):
        names = row.names or tuple(map(str, row.keys))
        yield [
            *("" if key is None else name or f"#{key}" for key, name in zip(row.keys, names, strict=True)),
            *_numbers(row),
        ]
    yield ["total", *[""] * (len(question.group_by) - 1), *_numbers(found.totals)]


def _numbers(row: Row) -> list[Any]:
    percent = margin_percent(row)
    return [
        row.vms, row.provider_hours, row.charged_hours, row.cost_usd, row.charge_usd, row.margin_usd,
        None if percent is None else percent.quantize(Decimal("0.01")), row.cost_per_play_hour,
    ]  # fmt: skip


def _intervals(
    question: Question, sight: Sight, now: datetime
) -> tuple[Sequence[str], Generator[tuple[Any, ...]]]:
    return lines.COLUMNS, lines.intervals(
        period=question.period, sight=sight, now=now, filters=question.filters
    )


class _Line:
    """What `csv` writes to: keeps the line just written."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        self.texts.append(text)

    def taken(self) -> str:
        text = "".join(self.texts)
        self.texts.clear()
        return text


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Generator[str]:
    kept = _Line()
    writer = csv.writer(kept)
    writer.writerow(head)
    for number, row in enumerate(rows, 1):
        writer.writerow([_plain(value) for value in row])
        if number % PIECE == 0:
            yield kept.taken()
    yield kept.taken()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return written(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _xlsx(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """The file, open at its beginning; the system forgets it once it is closed."""
    with ExitStack() as unless_whole:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # the response closes it
        unless_whole.callback(file.close)
        book = xlsxwriter.Workbook(
            file, {"constant_memory": True, "remove_timezone": True, "strings_to_formulas": False}
        )
        with closing(book):
            _fill(book, head, rows)
        unless_whole.pop_all()
    file.seek(0)
    return file


def _fill(book: Any, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    bold, exact = book.add_format({"bold": True}), book.add_format({"num_format": "0.000000"})
    formats = {datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})}
    sheet = book.add_worksheet("Costs")
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(head) - 1, 16)
    sheet.write_row(0, 0, head, bold)
    for number, row in enumerate(rows, 1):
        if number >= SHEET_ROWS:  # it would take no more, and say nothing
            raise TooLongError
        for at, value in enumerate(row):
            form = exact if isinstance(value, Decimal) else formats.get(type(value))
            _write(sheet, number, at, value, form)


def _write(sheet: Any, row: int, column: int, value: Any, form: Any) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, (int, Decimal)):
        sheet.write_number(row, column, value, form)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value, form)
    elif value is not None:
        sheet.write_string(row, column, str(value))
