"""An act on one row: a page that says what it means and asks, then one call of a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.models import DepartmentRole, User
from accounts.principal import Principal
from emulators.admin import by
from gamer.errors import GamerError

PAGE = "portal/act.html"
Call = Callable[[Principal, Any, dict[str, Any], datetime], object]


class NothingForm(forms.Form):
    """Only a confirmation."""


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=500, widget=UnfoldAdminTextareaWidget, help_text="Kept in the audit.")


class CascadeForm(forms.Form):
    cascade = forms.BooleanField(required=False, label="End VMs that live", widget=UnfoldBooleanSwitchWidget)


class InviteForm(forms.Form):
    email = forms.EmailField(max_length=254, widget=UnfoldAdminEmailInputWidget)
    role = forms.ChoiceField(
        choices=[(one.value, one.label) for one in (DepartmentRole.MEMBER, DepartmentRole.MANAGER)],
        widget=UnfoldAdminSelectWidget,
    )


class PersonForm(forms.Form):
    """Somebody by user_id or address."""

    person = forms.CharField(max_length=254, label="user_id or address", widget=UnfoldAdminTextInputWidget)

    def clean_person(self) -> User:
        text = self.cleaned_data["person"].strip()
        found = list(self.people().filter(handle=text)[:2]) or list(self.people().filter(email=text.lower()))
        if len(found) != 1:
            raise forms.ValidationError(
                "Nobody has it." if not found else "Several have it; use the address."
            )
        return found[0]

    def people(self) -> Any:
        return User.objects.get_queryset()


class RoleForm(PersonForm):
    role = forms.ChoiceField(choices=DepartmentRole.choices, widget=UnfoldAdminSelectWidget)


class PartForm(PersonForm, CascadeForm):
    """Who shall go, and what becomes of their VMs."""


@dataclass(frozen=True, slots=True)
class Act:
    """One verb of a page."""

    label: str
    meaning: str
    done: str
    call: Call
    form: type[forms.Form] = NothingForm
    is_dangerous: bool = False


def ask(request: HttpRequest, row: Any, act: Act, back: str, context: dict[str, Any]) -> HttpResponse:
    """GET asks; POST does it and goes back, or shows what was refused."""
    form = act.form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            act.call(by(request), row, form.cleaned_data, timezone.now())
        except GamerError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"{row}: {act.done}.")
            return HttpResponseRedirect(back)
    shown = {**context, "act": act, "row": row, "form": form, "back": back, "title": f"{act.label}: {row}"}
    return TemplateResponse(request, PAGE, shown)


class Shown(TabularInline):  # type: ignore[misc]
    """Rows of another table that belong to this one: looked at, and linked to."""

    extra = 0
    can_delete = False
    show_change_link = True
    per_page = 20
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
