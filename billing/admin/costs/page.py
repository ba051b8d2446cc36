"""The door of the cost reports: `?range=30days&by=provider…` shows, `export/?…&what=intervals&as=csv` sends."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from billing.admin.costs import charts
from billing.admin.costs.export import FORMATS, WHATS, TooLongError, export
from billing.admin.costs.form import NAMED, TEXTS, CostsForm, Question, page_url
from billing.admin.costs.table import Cell, change_of, dollars, margin_percent, needed, percentage, table_of
from billing.models import CostCentre, UsageDay
from billing.rating import ZERO
from billing.reports import Report, compared, forecast
from billing.reports.spending import STAFF
from gamer.web.admin import ReadOnlyAdmin

SUGGESTED = 20


@admin.register(UsageDay)
class CostsAdmin(ReadOnlyAdmin):
    """The daily sums are not looked at row by row: their list is the report."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.costs), name="billing_usageday_changelist"),
            path("export/", wrap(self.export), name="billing_costs_export"),
            path("suggest/", wrap(self.suggest), name="billing_costs_suggest"),
        ]

    def costs(self, request: HttpRequest) -> HttpResponseBase:
        self._demand(request)
        now = timezone.now()
        form = CostsForm(request.GET.dict(), now)
        shown = {**self._context(request), "form": form}
        if form.is_valid():
            question = form.question()
            shown |= {"chips": form.chips(question), **_answer(question, now)}
        return TemplateResponse(request, "billing/costs.html", shown, status=200 if form.is_valid() else 400)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        self._demand(request)
        now, asked = timezone.now(), request.GET.dict()
        what, form_of_file = asked.pop("what", WHATS[0]), asked.pop("as", FORMATS[0])
        if what == "intervals" and not request.user.has_perm("billing.view_usagerecord"):
            raise PermissionDenied
        form = CostsForm(asked, now)
        problem = "" if what in WHATS and form_of_file in FORMATS else "There is no such file."
        if form.is_valid() and not problem:
            question = form.question()
            try:
                return export(request, question, what=what, form=form_of_file, sight=STAFF, now=now)
            except TooLongError as error:
                problem = str(error)
        if problem:
            form.add_error(None, problem)
        return TemplateResponse(
            request, "billing/costs.html", {**self._context(request), "form": form}, status=400
        )

    def suggest(self, request: HttpRequest) -> HttpResponseBase:
        """What a filter could be: `?of=user&q=al`."""
        self._demand(request)
        name, text = request.GET.get("of", ""), request.GET.get("q", "").strip()[:100]
        if name in NAMED:
            return JsonResponse(_named(name, text), safe=False)
        if name in TEXTS:
            rows = CostCentre.objects.filter(**{f"{name}__icontains": text}).exclude(**{name: ""})
            found = rows.order_by(name).values_list(name, flat=True).distinct()[:SUGGESTED]
            return JsonResponse(list(found), safe=False)
        return JsonResponse([], safe=False)

    def _demand(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        may_list = request.user.has_perm("billing.view_usagerecord")
        return {
            **self.admin_site.each_context(request), "title": "Costs", "is_fullwidth": True, "may_list": may_list,
            "page_url": page_url(),
        }  # fmt: skip


def _named(name: str, text: str) -> list[str]:
    model, column = NAMED[name]
    rows: QuerySet[Any] = model.objects.filter(**{f"{column}__istartswith": text}).order_by(column, "pk")
    return [f"{word} #{pk}" for pk, word in rows.values_list("pk", column)[:SUGGESTED]]


def _answer(question: Question, now: datetime) -> dict[str, Any]:
    """The context of `billing/costs.html` beside its form."""
    asked: dict[str, Any] = {"sight": STAFF, "now": now, "filters": question.filters}
    both = compared(
        period=question.period,
        group_by=question.group_by,
        most=needed(question),
        by=question.largest,
        **asked,
    )
    found, before = both.report, both.before
    if not found.rows:
        newest = UsageDay.objects.order_by("-day").values_list("day", flat=True).first()
        return {"question": question, "newest": newest}
    here = question.period.zone
    return {
        "question": question,
        "table": table_of(found, before, question),
        "tiles": _tiles(found, before),
        "forecast": dollars(forecast(zone=here, **asked)),
        "saved": dollars(found.totals.saved_usd),
        "before": before.period,
        "charts": charts.charts_of(both, question, STAFF, now),
        "until": min(now, question.period.ends_at),
        "is_open": question.period.ends_at > now,
    }


def _tiles(found: Report, before: Report) -> list[tuple[str, Cell, Cell, str]]:
    """What it came to: a name, the figure, how it changed, and a word beside it."""
    now, was = found.totals, before.totals
    share = margin_percent(now)
    of_cost = "" if share is None else f"{percentage(share)[0]} of the cost"
    played = f"{now.charged_hours:,.1f}", f"{now.charged_hours:f} h"
    each, each_was = now.cost_per_play_hour, was.cost_per_play_hour
    return [
        ("Provider cost", dollars(now.cost_usd), change_of(now.cost_usd, was.cost_usd), ""),
        ("Charge", dollars(now.charge_usd), change_of(now.charge_usd, was.charge_usd), ""),
        ("Margin", dollars(now.margin_usd), change_of(now.margin_usd, was.margin_usd), of_cost),
        ("VMs", (f"{now.vms:,}", ""), ("", ""), f"on machines for {now.provider_hours:,.1f} hours"),
        ("Play hours", played, change_of(now.charged_hours, was.charged_hours, "h"), ""),
        (
            "Cost per play hour",
            dollars(each, 3),
            change_of(each or ZERO, each_was or ZERO),
            "",
        ),
    ]
