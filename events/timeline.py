"""The timeline as staff read it: narrowed by what they know, said in words, and written out as CSV."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.dateparse import parse_date, parse_datetime
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from events import kinds
from events.models import Event, EventQuerySet
from gamer.moments import written

PAGE = 2000  # rows of an export that are in memory at once
LONGEST_VALUE = 60
COLUMNS = (
    "id", "at", "actor", "action", "resource", "resource_id", "details", "ip", "request_id",
    "owner_id", "department_id", "project_id",
)  # fmt: skip
# What a spreadsheet would take for a formula.
FORMULA = re.compile(r"^[=+\-@\t\r]")


class ByText(TextFilter):  # type: ignore[misc]
    """A typed word. One that cannot be read finds nothing, rather than everything."""

    def queryset(self, request: HttpRequest, queryset: EventQuerySet) -> EventQuerySet:
        text = (self.value() or "").strip()[:100]
        return self.narrow(queryset, text) if text else queryset

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        raise NotImplementedError


class ByActor(ByText):
    title, parameter_name = "actor, from its beginning (user:alice, key:…, policy:…)", "actor"

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        return rows.filter(actor__startswith=text)


class BySubject(ByText):
    title, parameter_name = "subject, from the beginning of its id", "subject"

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        return rows.filter(resource_id__startswith=text)


class ByAddress(ByText):
    title, parameter_name = "IP address", "ip"

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        try:
            return rows.filter(ip=str(ip_address(text)))
        except ValueError:
            return rows.none()


class ByRequest(ByText):
    title, parameter_name = "request id, as in the log", "request"

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        return rows.filter(request_id=text)


class ByNumber(ByText):
    """An id of a room this one does not know."""

    column = ""

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        is_id = text.isascii() and text.isdigit() and len(text) <= 18
        return rows.filter(**{self.column: int(text)}) if is_id else rows.none()


class ByOwner(ByNumber):
    title, parameter_name, column = "person's number", "owner", "owner_id"


class ByDepartment(ByNumber):
    title, parameter_name, column = "department's number", "department", "department_id"


class ByProject(ByNumber):
    title, parameter_name, column = "project's number", "project", "project_id"


class Since(ByText):
    title, parameter_name = "from (UTC): 2026-01-31 or 2026-01-31 14:30", "since"

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        moment = moment_of(text)
        return rows.filter(at__gte=moment) if moment else rows.none()


class Until(ByText):
    title, parameter_name = "until (UTC), a whole day when no time is given", "until"

    def narrow(self, rows: EventQuerySet, text: str) -> EventQuerySet:
        moment = moment_of(text, is_end=True)
        return rows.filter(at__lt=moment) if moment else rows.none()


class ByAction(DropdownFilter):  # type: ignore[misc]
    title, parameter_name = "action", "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in sorted(kinds.ACTIONS)]

    def queryset(self, request: HttpRequest, queryset: EventQuerySet) -> EventQuerySet:
        return queryset.filter(action=self.value()) if self.value() else queryset


class ByResource(DropdownFilter):  # type: ignore[misc]
    title, parameter_name = "resource", "resource"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"{name.replace('_', ' ')}: {meaning}") for name, meaning in kinds.RESOURCES.items()]

    def queryset(self, request: HttpRequest, queryset: EventQuerySet) -> EventQuerySet:
        return queryset.filter(resource=self.value()) if self.value() else queryset


class ByKind(admin.SimpleListFilter):
    title, parameter_name = "who tells", "told"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("service", "services: what was done"), ("database", "the database: before and after")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(is_change=self.value() == "database") if self.value() else queryset


FILTERS = (
    ByActor, BySubject, ByAction, ByResource, Since, Until, ByAddress, ByOwner, ByDepartment, ByProject, ByRequest, ByKind,
)  # fmt: skip
PARAMETERS = frozenset(one.parameter_name for one in FILTERS)


def moment_of(text: str, *, is_end: bool = False) -> datetime | None:
    """A day or a moment as typed; None when it is neither. The end of a day is the beginning of the next."""
    try:
        day = parse_date(text)
        if day is not None:
            begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return begin + timedelta(days=1) if is_end else begin
        moment = parse_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def changes_of(event: Event) -> list[tuple[str, str, str]]:
    """What changed, as (field, before, after); of a secret only that it did."""
    told = event.details.get("changes", event.details)
    found = []
    for name, value in told.items() if isinstance(told, Mapping) else ():
        if isinstance(value, list) and len(value) == 2:
            found.append((name, shown(value[0]), shown(value[1])))
        elif event.is_change:
            found.append((name, "••••" if value != "set" else "", "••••" if value != "removed" else ""))
    return found


def words_of(event: Event) -> str:
    """An event's details on one line: changes with arrows, the rest by name."""
    changes = changes_of(event)
    changed = {name for name, _, _ in changes}
    parts = [f"{name}: {_short(before)} → {_short(after)}" for name, before, after in changes]
    if row := event.details.get("row"):
        return f"{row}. {', '.join(parts)}"
    rest = [f"{name}: {_short(shown(value))}" for name, value in event.details.items() if name not in changed]
    return ", ".join([*parts, *rest])


def shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(map(str, value)) or "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(rows: EventQuerySet) -> Generator[str]:
    """The rows as CSV, the newest first, read page by page. Cells a spreadsheet would run are quoted for it."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    last: int | None = None
    while True:
        ahead = rows if last is None else rows.filter(pk__lt=last)
        page = list(ahead.order_by("-pk")[:PAGE])
        for event in page:
            yield writer.writerow([_cell(getattr(event, name)) for name in COLUMNS])
        if len(page) < PAGE:
            return
        last = page[-1].pk


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return written(value)
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if FORMULA.match(text) else text
