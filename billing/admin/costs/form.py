"""What an address of the cost reports asks for: a range of days, filters, groups; and the address of every other question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Department, Project, User
from billing.budgets.watch import zone
from billing.models import CostCentre
from billing.periods import DAY, LONGEST_DAYS, Period, last_days, month_of, month_so_far
from billing.rating import day_of
from billing.reports import Filters
from billing.reports.figures import GROUPS, NO_ID, NO_TEXT

RANGES = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7days": "Last 7 days",
    "30days": "Last 30 days",
    "month": "This month",
    "last_month": "Last month",
    "custom": "From – to",
}
MEASURES = {
    "cost": "Provider cost",
    "charge": "Charge",
    "margin": "Margin",
    "hours": "Machine hours",
    "play": "Play hours",
}
# How reports sum what is measured. Of margins there are large losses as well, which charts show.
SUMS = {
    "cost": "cost_usd",
    "charge": "charge_usd",
    "hours": "running_us + stopped_us",
    "play": "charged_us",
}
TEXTS = ("provider", "region", "console", "preset")
# What an id is of, and the column of its name.
NAMED: Mapping[str, tuple[type[Any], str]] = {
    "project": (Project, "name"),
    "department": (Department, "name"),
    "user": (User, "handle"),
}
DEFAULTS = {"range": "30days", "by": "provider", "measure": "cost"}
NUMBERED = re.compile(r"(?:\A|\s)#([0-9]{1,18})\Z")
EARLIEST = date(2000, 1, 1)
MOST_NAMED = 5


class DateWidget(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    input_type = "date"


def page_url() -> str:
    return reverse("admin:billing_usageday_changelist")


@dataclass(frozen=True, slots=True)
class Question:
    """A valid address. `asked` is its query as it was understood, without what is the default anyway."""

    period: Period
    filters: Filters
    group_by: tuple[str, ...]
    measure: str
    sort: str
    page: int
    asked: Mapping[str, str]

    @property
    def stacked_by(self) -> str | None:
        """The group that charts tell apart; None: they show the whole."""
        return next((name for name in self.group_by if name != "day"), None)

    @property
    def order(self) -> str:
        """The words by which the table is sorted: of a column, with a minus from the most."""
        return self.sort or ("name" if "day" in self.group_by else f"-{self.measure}")

    @property
    def largest(self) -> str:
        """What the groups are largest by, in SQL, where nobody needs the others: not even the charts."""
        is_asked = self.order == f"-{self.measure}" and len(self.group_by) == 1 and "day" not in self.group_by
        return SUMS.get(self.measure, "") if is_asked else ""

    def query(self, **changes: str) -> str:
        """The same address with something else in it; empty takes a part out. Another question begins at its first page."""
        parts = {**self.asked, "page": "", **changes}
        return urlencode({name: text for name, text in parts.items() if text and DEFAULTS.get(name) != text})

    def url(self, **changes: str) -> str:
        return f"{page_url()}?{self.query(**changes)}"

    def narrowed(self, keys: Iterable[object]) -> str:
        """The page of one row: its groups become filters, and what is left to tell apart becomes the group."""
        changes: dict[str, str] = {"by": "", "then": "", "sort": ""}
        for name, key in zip(self.group_by, keys, strict=True):
            if name == "day":
                changes |= {"range": "custom", "start": str(key), "end": str(key)}
            else:
                changes[name] = text_of(name, key)
        taken = {*self.asked, *changes}
        changes["by"] = next((name for name in GROUPS if name not in taken), "day")
        return self.url(**changes)

    def intervals(self, keys: Iterable[object] = ()) -> str:
        """The list of the intervals behind the figures, of one row or of all."""
        period, chosen = self.period, {one.name: getattr(self.filters, one.name) for one in fields(Filters)}
        for name, key in zip(self.group_by, keys, strict=False):
            if isinstance(key, date):
                period = Period(key, key, period.zone)
            else:
                chosen[name] = key if key not in (None, "") else NO_ID if name in NAMED else NO_TEXT
        asked = {"day__gte": str(period.start), "day__lte": str(period.end)}
        for name, value in chosen.items():
            if value == NO_ID:
                asked[f"centre__{name}__isnull"] = "True"
            elif value not in ("", None):
                asked[f"centre__{name}__exact"] = "" if value == NO_TEXT else str(value)
        return f"{reverse('admin:billing_usagerecord_changelist')}?{urlencode(asked)}"


def text_of(name: str, key: object) -> str:
    """How a filter names a key of a report in an address."""
    if key in (None, ""):
        return NO_TEXT
    return f"#{key}" if name in NAMED else str(key)


def suggestions_url(name: str) -> str:
    return f"{reverse('admin:billing_costs_suggest')}?of={name}"


class CostsForm(forms.Form):
    """Names and numbers are resolved here, so that whatever is wrong is said beside its field."""

    range = forms.ChoiceField(choices=list(RANGES.items()), widget=UnfoldAdminSelectWidget, label="Days")
    start = forms.DateField(required=False, widget=DateWidget, label="From")
    end = forms.DateField(required=False, widget=DateWidget, label="To, included")
    by = forms.ChoiceField(
        choices=[(name, name.capitalize()) for name in GROUPS],
        widget=UnfoldAdminSelectWidget,
        label="Group by",
    )
    then = forms.ChoiceField(
        choices=[("", "nothing else"), *((name, name.capitalize()) for name in GROUPS)], required=False,
        widget=UnfoldAdminSelectWidget, label="And by",
    )  # fmt: skip
    measure = forms.ChoiceField(
        choices=list(MEASURES.items()), widget=UnfoldAdminSelectWidget, label="Charts show"
    )
    provider = forms.CharField(required=False, max_length=100, widget=UnfoldAdminTextInputWidget)
    region = forms.CharField(required=False, max_length=100, widget=UnfoldAdminTextInputWidget)
    console = forms.CharField(required=False, max_length=100, widget=UnfoldAdminTextInputWidget)
    preset = forms.CharField(required=False, max_length=100, widget=UnfoldAdminTextInputWidget)
    project = forms.CharField(required=False, max_length=200, widget=UnfoldAdminTextInputWidget)
    department = forms.CharField(required=False, max_length=200, widget=UnfoldAdminTextInputWidget)
    user = forms.CharField(required=False, max_length=200, widget=UnfoldAdminTextInputWidget)
    sort = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)
    page = forms.IntegerField(required=False, min_value=1, max_value=10_000, widget=forms.HiddenInput)

    def __init__(self, data: Mapping[str, str], now: datetime) -> None:
        given = {name: text for name, text in data.items() if text}
        super().__init__({**DEFAULTS, **given})
        self.now = now
        self.names: dict[str, str] = {}  # of projects, departments and users that are asked for
        for name in (*TEXTS, *NAMED):
            self.fields[name].widget.attrs |= {"data-suggest": suggestions_url(name), "autocomplete": "off"}

    @property
    def asking(self) -> list[forms.BoundField]:
        return [self[name] for name in ("range", "start", "end", "by", "then", "measure")]

    @property
    def narrowing(self) -> list[forms.BoundField]:
        return [self[name] for name in (*TEXTS, *NAMED)]

    @property
    def is_narrowing(self) -> bool:
        return any(self.data.get(name) for name in (*TEXTS, *NAMED))

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.get("then") and values.get("then") == values.get("by"):
            self.add_error("then", "Choose two different groups.")
        self._check_days(values)
        for name in TEXTS:
            if values.get(name):
                self._check_text(name, values[name])
        for name in NAMED:
            values[name] = self._id_of(name, values[name]) if values.get(name) else None
        return values

    def _check_days(self, values: dict[str, Any]) -> None:
        if values.get("range") != "custom":
            return
        for name in ("start", "end"):
            if name not in self.errors and values.get(name) is None:
                self.add_error(name, "Give a day, like 2026-01-31.")
        start, end = values.get("start"), values.get("end")
        if start is None or end is None:
            return
        latest = self.now.date() + timedelta(days=LONGEST_DAYS)
        for name, day in (("start", start), ("end", end)):
            if not EARLIEST <= day <= latest:
                self.add_error(name, f"Between {EARLIEST} and {latest}.")
        if end < start:
            self.add_error("end", "This is before the first day.")
        elif (end - start).days >= LONGEST_DAYS:
            self.add_error(
                "end", f"At most {LONGEST_DAYS} days. Choose a later first day or an earlier last one."
            )

    def _check_text(self, name: str, text: str) -> None:
        if text != NO_TEXT and not CostCentre.objects.filter(**{name: text}).exists():
            self.add_error(name, f"Nothing was ever used under the {name} “{text}”.")

    def _id_of(self, name: str, text: str) -> int | None:
        """A name, a name with its number (“alice #12”), or the number alone (“#12”)."""
        if text == NO_TEXT:
            return NO_ID
        model, column = NAMED[name]
        found = list(
            model.objects.filter(**{column: text}).order_by("pk").values_list("pk", column)[: MOST_NAMED + 1]
        )
        if not found and (number := NUMBERED.search(text)):
            found = list(model.objects.filter(pk=number[1]).values_list("pk", column))
        if len(found) == 1:
            self.names[name] = f"{found[0][1]} #{found[0][0]}"
            return int(found[0][0])
        if found:
            several = ", ".join(f"“{word} #{pk}”" for pk, word in found[:MOST_NAMED])
            self.add_error(name, f"There are several. Choose one of {several}.")
        else:
            self.add_error(name, f"There is no {name} “{text}”.")
        return None

    def question(self) -> Question:
        values = self.cleaned_data
        filters = Filters(**{name: values[name] for name in (*TEXTS, *NAMED)})
        asked = {name: self.data[name] for name in self.fields if self.data.get(name)}
        asked |= {name: f"#{values[name]}" for name in NAMED if values[name]}
        if values["range"] != "custom":
            asked = {name: text for name, text in asked.items() if name not in ("start", "end")}
        return Question(
            period=self._period(), filters=filters, group_by=tuple(filter(None, (values["by"], values["then"]))),
            measure=values["measure"], sort=values["sort"], page=values["page"] or 1,
            asked={name: text for name, text in asked.items() if DEFAULTS.get(name) != text},
        )  # fmt: skip

    def _period(self) -> Period:
        here, values = zone(), self.cleaned_data
        today = day_of(self.now, here)
        match values["range"]:
            case "today":
                return Period(today, today, here)
            case "yesterday":
                return Period(today - DAY, today - DAY, here)
            case "7days":
                return last_days(7, self.now, here)
            case "month":
                return month_so_far(self.now, here)
            case "last_month":
                return month_of(today.replace(day=1) - DAY, here)
            case "custom":
                return Period(values["start"], values["end"], here)
        return last_days(30, self.now, here)

    def chips(self, question: Question) -> list[tuple[str, str, str]]:
        """The filters that are on: what, which, and the address without it."""
        return [
            (name, "none" if question.asked[name] == NO_TEXT else self.names.get(name, question.asked[name]), question.url(**{name: ""}))
            for name in (*TEXTS, *NAMED)
            if name in question.asked
        ]  # fmt: skip
