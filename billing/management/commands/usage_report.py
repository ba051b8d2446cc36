"""`manage.py usage_report`: hours and money as a table, CSV or JSON, row by row."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from billing.budgets.watch import zone
from billing.kinds import KINDS, kind_of
from billing.models import CostCentre
from billing.periods import LONGEST_DAYS, Period, last_days
from billing.reports import GROUPS, Filters, Report, Row, of_one_person, report
from billing.reports.spending import STAFF
from gamer.commands import QuickCommand, day
from gamer.errors import ValidationError

# Options that narrow, and what of a cost centre they mean.
NARROWING = {"region": "region", "console": "console", "preset": "preset", "user": "user__handle"}
MOST_NAMED = 20
FIGURES = ("vms", "provider_hours", "charged_hours", "cost_usd", "charge_usd", "margin_usd")


def days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LONGEST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to {LONGEST_DAYS}")
    return int(text)


class Command(QuickCommand):
    help = "Reports what was used, what providers ask and what customers pay for it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
        parser.add_argument(
            "--days", type=days, help="the last day and those before it (30), instead of --from"
        )
        parser.add_argument("--from", dest="start", type=day, metavar="DAY", help="the first day")
        parser.add_argument("--to", dest="end", type=day, metavar="DAY", help="the last day (today)")
        parser.add_argument(
            "--group-by",
            action="append",
            choices=sorted(GROUPS),
            help="once or twice (provider)",
            dest="groups",
        )
        parser.add_argument("--provider", default="", type=kind_of, choices=KINDS)
        for name in NARROWING:
            parser.add_argument(
                f"--{name}", default="", metavar="USER_ID" if name == "user" else name.upper()
            )

        parser.add_argument("--department", type=int, metavar="DEPARTMENT_ID", help="its number")

    def handle(self, *args: Any, **options: Any) -> None:
        groups = options["groups"] or ["provider"]
        if len(groups) > 2 or len(set(groups)) < len(groups):
            raise CommandError("--group-by once, or twice with different words")
        chosen = {NARROWING[name]: options[name] for name in NARROWING}
        self._tell_of_unused({**chosen, "department": options["department"]})
        filters = Filters(provider=options["provider"], department=options["department"], **chosen)
        try:
            filters = of_one_person(filters, STAFF)
        except ValidationError as error:
            raise CommandError(f"--user: {error.details['user_id'][0]}") from error
        now = timezone.now()
        found = report(period=self._period(options), sight=STAFF, now=now, filters=filters, group_by=groups)
        lines = {"table": _table, "csv": _csv, "json": _json}[options["format"]](found)
        for line in lines:
            self.stdout.write(line, ending="")

    def _tell_of_unused(self, chosen: Mapping[str, Any]) -> None:
        """A misspelt word gives an empty report, as one does that nobody has used yet: standard error says which it may be."""
        names = {column: name for name, column in NARROWING.items()}
        for column, value in chosen.items():
            wanted = Filters(**{column: value}).of()
            if not wanted or CostCentre.objects.filter(wanted).exists():
                continue
            used = CostCentre.objects.exclude(**{f"{column}__isnull": True}).order_by(column)
            some = ", ".join(map(str, used.values_list(column, flat=True).distinct()[:MOST_NAMED]))
            self.stderr.write(
                f"--{names.get(column, column)}: nothing of {value!r} was ever used; used were: {some or 'none'}"
            )

    def _period(self, options: dict[str, Any]) -> Period:
        if options["start"] is not None and options["days"] is not None:
            raise CommandError("--from and --days both say where it begins: leave one out")
        usual = last_days(options["days"] or 30, timezone.now(), zone())
        end = options["end"] or usual.end
        start = options["start"] or (
            usual.start if options["end"] is None else end - (usual.end - usual.start)
        )
        if end < start:
            raise CommandError("--to is before --from")
        period = Period(start, end, zone())
        if period.days > LONGEST_DAYS:
            raise CommandError(f"at most {LONGEST_DAYS} days")
        return period


def _values(row: Row) -> list[str]:
    return [str(getattr(row, name)) for name in FIGURES]


def _table(found: Report) -> Iterator[str]:
    """Columns as wide as their longest text."""
    head = [*found.group_by, *FIGURES]
    body = [[*row.names, *_values(row)] for row in found.rows]
    last = ["total", *[""] * (len(found.group_by) - 1), *_values(found.totals)]
    widths = [max(map(len, column)) for column in zip(head, *body, last, strict=True)]
    rule = ["-" * width for width in widths]
    words = len(found.group_by)
    for line in (head, rule, *body, rule, last):
        cells = [
            text.ljust(width) if at < words else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ]  # fmt: skip
        yield "  ".join(cells).rstrip() + "\n"


class _Line:
    """What csv writes to: gives the line back instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def _csv(found: Report) -> Iterator[str]:
    writer = csv.writer(_Line(), lineterminator="\n")
    yield writer.writerow([*found.group_by, *FIGURES])
    for row in found.rows:
        yield writer.writerow([*map(_plain, row.names), *_values(row)])


def _plain(text: str) -> str:
    """A name that a spreadsheet would take for a formula is quoted."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _json(found: Report) -> Iterator[str]:
    """One document, written row by row."""
    period = {"start": found.period.start.isoformat(), "end": found.period.end.isoformat()}
    yield f'{{"period": {json.dumps(period)}, "group_by": {json.dumps(found.group_by)}, "rows": ['
    for number, row in enumerate(found.rows):
        yield ("," if number else "") + "\n  " + json.dumps(_object(row, found.group_by))
    yield f'\n], "totals": {json.dumps(_object(found.totals, ()))}}}\n'


def _object(row: Row, group_by: Sequence[str]) -> dict[str, Any]:
    figures = {name: row.vms if name == "vms" else float(getattr(row, name)) for name in FIGURES}
    return {**dict(zip(group_by, row.names, strict=False)), **figures}
