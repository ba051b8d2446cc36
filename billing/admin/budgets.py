"""Budgets, and the thresholds that were crossed. Every change is the service's, as over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.principal import at_admin
from billing.admin.wording import NONE, provider_field, usd
from billing.budgets import rows, watch
from billing.budgets.notices import subject_of
from billing.budgets.rows import USUAL, Step, Target
from billing.models import Budget, BudgetCrossing
from events.channels.webhook import is_secret, make_secret
from gamer.web.admin import ReadOnlyAdmin, ServiceAdmin

ACTIONS = {"notify": "notifies", "block": "blocks_launches", "stop": "stops_vms"}
HELP = "One a line: the percent, then any of notify, block (refuse launches), stop (stop VMs). Like: 100 notify block"


def written(steps: Sequence[Any]) -> str:
    """Thresholds as the form shows them."""
    return "\n".join(
        " ".join([str(step.percent), *(word for word, column in ACTIONS.items() if getattr(step, column))])
        for step in steps
    )


def read(text: str) -> list[Step]:
    """The thresholds of the form's text. Raises ValidationError naming the line."""
    steps = []
    for line in filter(None, (one.strip().lower() for one in text.splitlines())):
        percent, *words = line.replace("%", " ").split() or [""]
        if not (percent.isascii() and percent.isdigit() and len(percent) < 6) or not set(words) <= set(
            ACTIONS
        ):
            raise ValidationError(f"{line!r} is no threshold. {HELP}.")
        steps.append(Step(int(percent), **{column: word in words for word, column in ACTIONS.items()}))
    return steps


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    provider = provider_field(required=False)
    thresholds = forms.CharField(widget=UnfoldAdminTextareaWidget({"rows": 3}), help_text=HELP)
    emails = SimpleArrayField(
        forms.EmailField(),
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="With commas between.",
    )
    webhook_url = forms.CharField(
        required=False, max_length=500, widget=UnfoldAdminTextInputWidget(), label="Webhook URL"
    )
    webhook_secret = forms.CharField(
        required=False, max_length=120, widget=UnfoldAdminTextInputWidget(),
        help_text="What signs; copy it now, it is not shown again. Empty keeps the one there is.",
    )  # fmt: skip

    class Meta:
        model = Budget
        fields = (
            *("name", "provider", "project", "department", "user", "period", "starts_on", "ends_on"),
            *("limit_usd", "thresholds", "emails", "webhook_url", "webhook_secret", "is_active"),
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        budget: Budget = self.instance
        if budget.pk is None:
            self.initial |= {"thresholds": written(USUAL), "webhook_secret": make_secret()}
        else:
            self.initial["thresholds"] = written(list(budget.thresholds.all()))
            self.initial["webhook_url"] = budget.webhook.url if budget.webhook is not None else ""

    def clean_thresholds(self) -> list[Step]:
        return read(self.cleaned_data["thresholds"])

    def clean_webhook_secret(self) -> str:
        secret: str = self.cleaned_data["webhook_secret"]
        if secret and not is_secret(secret):
            raise ValidationError("whsec_ and base64 of 24 to 64 bytes.")
        return secret

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        url, budget = values.get("webhook_url", ""), self.instance
        is_new = url and (budget.pk is None or budget.webhook is None or budget.webhook.url != url)
        if is_new and not values.get("webhook_secret") and "webhook_secret" not in self.errors:
            self.add_error("webhook_secret", "Needed for a new address.")
        if budget.pk is None and not url:
            values["webhook_secret"] = ""  # we offered it, for an address that nobody wants
        return values

    def _post_clean(self) -> None:
        """What a budget must be is checked by the service, which also knows what it covers."""


@admin.register(Budget)
class BudgetAdmin(ServiceAdmin):
    empty_hint = (
        "A budget warns somebody, or stops launches, when a period's cost reaches a share of its amount."
    )
    form = BudgetForm
    list_display = ("name", "subject", "period", "spent", "limit", "state")
    list_filter = ("covers", "period", "is_active")
    list_select_related = ("project", "department", "user", "within")
    search_fields = ("name__startswith",)
    autocomplete_fields = ("department", "user")
    raw_id_fields = ("project",)
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("name", "limit_usd", "period", ("starts_on", "ends_on"), "is_active")}),
        ("Covers one of these, or everything", {"fields": (("provider", "project"), ("department", "user"))}),
        ("What happens", {"fields": ("thresholds", "emails", "webhook_url", "webhook_secret")}),
    )
    covers = ("provider", "project", "department", "user")

    def get_fieldsets(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        """Who may only look reads the limit as the list has it. What a department's managers set says so."""
        general, covers, *others = super().get_fieldsets(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            title, shown = general
            fields = tuple("limit" if name == "limit_usd" else name for name in shown["fields"])
            general = (title, {**shown, "fields": fields})
        if obj is not None and obj.within_id is not None:
            others = [("Only in a department", {"fields": ("within",)}), *others]
        return (general, covers, *others)

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> Sequence[str]:
        return () if obj is None else (*self.covers, "within")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """What is spent of all budgets on the page, in one statement."""
        found = super().get_changelist_instance(request)
        shown = list(found.result_list)
        now = watch.spent(timezone.now(), shown)
        for budget in shown:
            vars(budget)["now"] = now.get(budget.pk)
        found.result_list = shown
        return found

    # What the form has and the model has not, for who may look and not change.

    @admin.display(description="Thresholds")
    def thresholds(self, budget: Budget) -> str:
        return written(list(budget.thresholds.all()))

    @admin.display(description="Webhook URL")
    def webhook_url(self, budget: Budget) -> str:
        return budget.webhook.url if budget.webhook is not None else NONE

    @admin.display(description="Webhook secret")
    def webhook_secret(self, budget: Budget) -> str:
        return "Never shown."

    @admin.display(description="Limit", ordering="limit_usd")
    def limit(self, budget: Budget) -> str:
        return usd(budget.limit_usd)

    @admin.display(description="covers")
    def subject(self, budget: Budget) -> str:
        subject = subject_of(budget)
        return subject if budget.within is None else f"{subject} in {budget.within}"

    @admin.display(description="spent, USD")
    def spent(self, budget: Budget) -> str:
        now = vars(budget).get("now")
        return "-" if now is None else f"{now[2]:.2f} ({int(100 * now[2] / budget.limit_usd)} %)"

    @display(
        description="State",
        label={"fine": "success", "warning": "warning", "over": "danger", "off": "default"},
    )  # type: ignore[untyped-decorator]
    def state(self, budget: Budget) -> str:
        now = vars(budget).get("now")
        if now is None:
            return "off"
        share = now[2] / budget.limit_usd
        return "over" if share >= 1 else "warning" if share * 100 >= 80 else "fine"

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        values = dict(form.cleaned_data)
        target = {name: values.pop(name, None) for name in self.covers}
        by, now = at_admin(request), timezone.now()
        if change:
            rows.change(by=by, budget=obj, now=now, **values)
        else:
            obj.pk = rows.create(by=by, now=now, target=Target(**target), **values).budget.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        rows.delete(by=at_admin(request), budget=obj, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for budget in queryset:
            self.delete_model(request, budget)


@admin.register(BudgetCrossing)
class BudgetCrossingAdmin(ReadOnlyAdmin):
    empty_hint = "No budget has reached one of its thresholds. Budgets are made under Budgets."
    list_display = (
        "crossed_at",
        "budget",
        "percent",
        "severity",
        "spent",
        "limit",
        "period_start",
        "lifted_at",
    )
    list_select_related = ("budget",)
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        "budget", ("percent", "severity"), ("spent", "limit"), ("period_start", "period_end"), ("crossed_at", "lifted_at"),
    )  # fmt: skip

    @admin.display(description="Spent")
    def spent(self, crossing: BudgetCrossing) -> str:
        return usd(crossing.spent_usd)

    @admin.display(description="Limit then")
    def limit(self, crossing: BudgetCrossing) -> str:
        return usd(crossing.limit_usd)
