"""Credit accounts: what each has, what is put aside, the last lines, and the form by which staff give and take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import Department
from accounts.principal import at_admin
from billing.admin.wording import NONE, link, listed, usd
from billing.models import CreditAccount, Hold, Leg
from billing.services import credits
from gamer.errors import GamerError
from gamer.web.admin import ReadOnlyAdmin
from gamer.web.confirming import tell_it_was_so

LINES = 20


class CreditForm(forms.Form):
    """An amount and why. `token` makes a form that is sent twice count once."""

    amount = forms.DecimalField(
        label="Amount in USD", max_digits=13, decimal_places=6, widget=UnfoldAdminDecimalFieldWidget,
        help_text="Negative takes credit away.",
    )  # fmt: skip
    reason = forms.CharField(
        max_length=300,
        widget=UnfoldAdminTextInputWidget,
        help_text="Those whose account it is can read it.",
    )
    days = forms.IntegerField(
        label="Good for days", required=False, min_value=1, max_value=3650, widget=UnfoldAdminIntegerFieldWidget,
        help_text="What is left of it then is taken back. Empty: for ever.",
    )  # fmt: skip
    token = forms.CharField(max_length=64, widget=forms.HiddenInput)


class NamedCreditForm(CreditForm):
    """The same for somebody who is named: their account is opened if it is not there yet."""

    user_id = forms.CharField(
        label="User id", required=False, max_length=64, widget=UnfoldAdminTextInputWidget
    )
    project_id = forms.IntegerField(
        label="Project number", required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget
    )
    department = forms.ModelChoiceField(
        Department.objects.all(), required=False, widget=UnfoldAdminSelectWidget, empty_label="none"
    )
    field_order = ("user_id", "project_id", "department", "amount", "reason", "days")


# Whether an account is postpaid: what staff ask for, and what it means.
PLANS = {
    True: (
        "Play without credit",
        "Launches are allowed and machines go on whatever the balance is, also below zero. Budgets and quotas still hold.",
    ),
    False: (
        "Demand credit before playing",
        "A launch needs credit again. Machines that run now are warned of and stopped when there is none left.",
    ),
}


@admin.register(CreditAccount)
class CreditAccountAdmin(ReadOnlyAdmin):
    empty_hint = "One is opened by a grant of credit or by the first launch that is charged to it."
    list_display = ("owner", "kind", "plan", "balance", "held", "available", "opened_at")
    list_filter = ("kind", "is_postpaid")
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("user__handle__startswith", "project__name__startswith", "department__name__startswith")
    search_help_text = "The beginning of a user id, or of a project's or department's name"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        ("owner", "plan"),
        ("balance", "held", "available"),
        ("opened_at", "warned_at"),
        "holds",
        "lines",
    )
    actions_list = ("give_to",)
    actions_detail = ("give", "play_on_account", "play_on_credit")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditAccount]:
        return CreditAccount.objects.select_related("user", "project", "department")

    @action(description="Give or take credit", permissions=["credit"], icon="payments", url_path="give-to")  # type: ignore[untyped-decorator]
    def give_to(self, request: HttpRequest) -> HttpResponse:
        return self._credit(request, None)

    @action(description="Give or take credit", permissions=["credit"], icon="payments", url_path="give")  # type: ignore[untyped-decorator]
    def give(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.get_object(request, object_id)
        return self._gone(request, object_id) if account is None else self._credit(request, account)

    @action(description="Let play on account", permissions=["credit"], icon="contract", url_path="postpaid")  # type: ignore[untyped-decorator]
    def play_on_account(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._plan(request, object_id, is_postpaid=True)

    @action(description="Demand credit", permissions=["credit"], icon="credit_card", url_path="prepaid")  # type: ignore[untyped-decorator]
    def play_on_credit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._plan(request, object_id, is_postpaid=False)

    def has_credit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """The house's own accounts are nobody's to give to; what is not there is answered by the page itself."""
        account = self.get_object(request, object_id) if object_id is not None else None
        is_house = account is not None and bool(account.code)
        return request.user.has_perm("billing.change_creditaccount") and not is_house

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Of the two plans the one that it has not. Whoever comes to the other, from a page of before, is told."""
        offered: list[Any] = super().get_actions_detail(request, object_id)
        account = self.get_object(request, object_id)
        is_postpaid = account is not None and account.is_postpaid
        idle = "play_on_account" if is_postpaid else "play_on_credit"
        return [one for one in offered if one.method.__name__ != idle]

    def _gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]

    def _plan(self, request: HttpRequest, object_id: str, *, is_postpaid: bool) -> HttpResponse:
        account = self.get_object(request, object_id)
        if account is None:
            return self._gone(request, object_id)
        page = reverse("admin:billing_creditaccount_change", args=[account.pk])
        if account.is_postpaid is is_postpaid:
            tell_it_was_so(request, account)
            return HttpResponseRedirect(page)
        if request.method == "POST":
            credits.set_postpaid(
                by=at_admin(request), account=account, is_postpaid=is_postpaid, now=timezone.now()
            )
            messages.success(request, f"{account}: {self.plan(account)}.")
            return HttpResponseRedirect(page)
        title, means = PLANS[is_postpaid]
        shown = {"title": f"{title}: {account}", "means": means, "back": page, "original": account}
        return self._page(request, shown)

    def _credit(self, request: HttpRequest, account: CreditAccount | None) -> HttpResponse:
        """GET shows the form; POST books it, once however often it is sent."""
        kind = CreditForm if account is not None else NamedCreditForm
        form = kind(request.POST or None, initial={"token": f"{timezone.now().timestamp():.6f}"})
        if request.method == "POST" and form.is_valid():
            try:
                done = self._book(request, account, form.cleaned_data)
            except GamerError as error:
                for name, texts in (error.details or {"": [error.message]}).items():
                    form.add_error(name if name in form.fields else None, texts)
            else:
                messages.success(request, f"{done}: {usd(done.balance_usd)}.")
                return HttpResponseRedirect(reverse("admin:billing_creditaccount_change", args=[done.pk]))
        back = (
            reverse("admin:billing_creditaccount_changelist")
            if account is None
            else reverse("admin:billing_creditaccount_change", args=[account.pk])
        )
        whose = "" if account is None else f": {account}"
        return self._page(
            request,
            {"title": f"Give or take credit{whose}", "form": form, "back": back, "original": account},
        )

    def _book(
        self, request: HttpRequest, account: CreditAccount | None, asked: dict[str, Any]
    ) -> CreditAccount:
        by, now = at_admin(request), timezone.now()
        if account is not None:
            owner = account.user or account.project or account.department
            assert owner is not None
        else:
            department = asked["department"]
            owner = credits.owner_named(
                by,
                user_id=asked["user_id"] or None,
                project_id=asked["project_id"],
                department_id=department.pk if department is not None else None,
            )
        until = now + timedelta(days=asked["days"]) if asked["days"] else None
        return credits.change(
            by=by, owner=owner, usd=asked["amount"], reason=asked["reason"], now=now, expires_at=until,
            key=f"admin:{request.user.pk}:{asked['token']}",
        )  # fmt: skip

    def _page(self, request: HttpRequest, shown: dict[str, Any]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **shown}
        return TemplateResponse(request, "billing/credit.html", context)

    @admin.display(description="Whose")
    def owner(self, account: CreditAccount) -> str:
        return str(account.code or account.user or account.project or account.department)

    @display(description="Plays", label={"on account": "info", "on credit": "default"})  # type: ignore[untyped-decorator]
    def plan(self, account: CreditAccount) -> str:
        return "on account" if account.is_postpaid else "on credit"

    @admin.display(description="Balance")
    def balance(self, account: CreditAccount) -> str:
        return NONE if account.code else usd(account.balance_usd)

    @admin.display(description="Put aside")
    def held(self, account: CreditAccount) -> str:
        return NONE if account.code else usd(account.held_usd)

    @admin.display(description="Free")
    def available(self, account: CreditAccount) -> str:
        return NONE if account.code else usd(account.available_usd)

    @admin.display(description="Put aside for")
    def holds(self, account: CreditAccount) -> str:
        rows = Hold.objects.filter(account=account).order_by("-held_at")[:LINES]
        return (
            format_html_join(
                "", "<div>{} for the VM {}</div>", ((usd(one.amount_usd), one.vm) for one in rows)
            )
            or NONE
        )

    @admin.display(description="Last lines")
    def lines(self, account: CreditAccount) -> str:
        rows = Leg.objects.filter(account=account).select_related("entry").order_by("-id")[:LINES]
        table = format_html_join(
            "",
            "<div>{} · {} · {} {}</div>",
            (
                (
                    f"{one.entry.at:%Y-%m-%d %H:%M:%S}",
                    usd(one.amount_usd),
                    link("billing_entry", one.entry_id, one.entry.get_kind_display()),
                    one.entry.reason,
                )
                for one in rows
            ),
        )
        everything = listed("billing_leg", "All lines", account__id__exact=account.pk)
        return table + format_html_join("", "<div>{}</div>", [(everything,)])
