"""The page of a person, with what takes other rooms: suspending them ends their VMs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action
from unfold.forms import UserChangeForm

from accounts.admin import UserAdmin
from accounts.models import User
from billing.models import CreditAccount
from portal import services
from portal.admin import acts
from portal.admin.acts import Act
from portal.admin.quotas import to_limits

SUSPEND = Act(
    "Suspend",
    "Every login and key of theirs ends, and all their VMs. They may not come back until somebody reinstates them.",
    "suspended",
    lambda by, row, given, now: services.suspend(by=by, user=row, reason=given["reason"], now=now),
    form=acts.ReasonForm,
    is_dangerous=True,
    fits=lambda row: row.is_active,
)
REINSTATE = Act(
    "Reinstate",
    "They may log in again. What was ended stays ended.",
    "reinstated",
    lambda by, row, given, now: services.reinstate(by=by, user=row, now=now),
    fits=lambda row: not row.is_active,
)


class PersonForm(UserChangeForm):  # type: ignore[misc]
    def clean_handle(self) -> str:
        """Django looks only at constraints whose fields all are in the form, and the department is not."""
        handle: str = self.cleaned_data["handle"]
        others = User.objects.within(self.instance.department_id).exclude(pk=self.instance.pk)
        if others.filter(handle=handle).exists():
            raise forms.ValidationError("Somebody of this department has it already.")
        return handle


def _account_of(user: User | None) -> CreditAccount | None:
    return CreditAccount.objects.filter(user=user).first() if user is not None else None


admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(acts.Acting, UserAdmin):  # type: ignore[misc]
    """What services decide is not a field: being active, the department and, once there is a credit account, how they pay."""

    form = PersonForm
    actions_detail = (*UserAdmin.actions_detail, "suspend", "reinstate", "set_limits")
    fitting = {"suspend": SUSPEND, "reinstate": REINSTATE}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        decided = ("is_active", "department") if obj is not None else ()
        paid = ("is_postpaid",) if _account_of(obj) is not None else ()
        return (*super().get_readonly_fields(request, obj), *decided, *paid)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        account = _account_of(obj)
        if account is not None:
            page = reverse("admin:billing_creditaccount_change", args=[account.pk])
            # Unfold's own classes: its forms do not load our style sheet.
            link = '<a class="text-primary-600 dark:text-primary-500" href="{}">their credit account</a>'
            words = f"Changed at {link}: Let play on account, Demand credit."
            options["help_texts"] = {"is_postpaid": format_html(words, page)}
        return super().get_form(request, obj, change=change, **options)

    @action(description=SUSPEND.label, permissions=["administer"], icon="block", url_path="suspend")  # type: ignore[untyped-decorator]
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, SUSPEND)

    @action(description=REINSTATE.label, permissions=["administer"], icon="undo", url_path="reinstate")  # type: ignore[untyped-decorator]
    def reinstate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask(request, object_id, REINSTATE)

    @action(description="Set limits", permissions=["administer"], icon="speed", url_path="limits")  # type: ignore[untyped-decorator]
    def set_limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return to_limits(self, request, object_id)
