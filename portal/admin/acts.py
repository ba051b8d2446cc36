"""An act on one row: a page that says what it means and asks, then one call of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
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
from gamer.web.confirming import tell_it_was_so

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
        text, people = self.cleaned_data["person"].strip(), User.objects.get_queryset()
        found = list(people.filter(email=text.lower())) or list(people.filter(handle=text)[:2])
        if len(found) != 1:
            raise forms.ValidationError(
                "Nobody has it." if not found else "Several have it; use the address."
            )
        person: User = found[0]
        return person


class RoleForm(PersonForm):
    role = forms.ChoiceField(choices=DepartmentRole.choices, widget=UnfoldAdminSelectWidget)


class PartForm(PersonForm, CascadeForm):
    """Who shall go, and what becomes of their VMs."""


@dataclass(frozen=True, slots=True)
class Act:
    """One verb of a page. `fits` says whether a row is in a state in which it does anything."""

    label: str
    meaning: str
    done: str
    call: Call
    form: Callable[[Any], forms.Form] = NothingForm
    is_dangerous: bool = False
    fits: Callable[[Any], bool] = lambda row: True


def ask(request: HttpRequest, row: Any, act: Act, back: str, context: dict[str, Any]) -> HttpResponse:
    """GET asks; POST does it and goes back, or shows what was refused. What was so already is told and not done."""
    if not act.fits(row):
        tell_it_was_so(request, row)
        return HttpResponseRedirect(back)
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


class Acting:
    """The mixin of pages with acts. Unfold looks a permission named like `accounts.change_user` up in the database, even in
    system checks before the first migration; one with a method of its own it does not.
    """

    # Acts that not every row's page offers, by the names of their actions.
    fitting: Mapping[str, Act] = {}

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Not by permissions: a page of before then answered that one's login has none, though it is the row that has changed."""
        offered: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        row = self.get_object(request, object_id) if self.fitting else None  # type: ignore[attr-defined]
        if row is None:
            return offered
        names = {name for name, act in self.fitting.items() if not act.fits(row)}
        return [one for one in offered if one.method.__name__ not in names]

    def has_administer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        opts = self.opts  # type: ignore[attr-defined]
        return bool(request.user.has_perm(f"{opts.app_label}.change_{opts.model_name}"))

    def ask(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        page: Any = self
        row = page.get_object(request, object_id)
        if row is None:
            gone: HttpResponse = page._get_obj_does_not_exist_redirect(request, page.opts, object_id)
            return gone
        back = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_change", args=[row.pk])
        context = {**page.admin_site.each_context(request), "opts": page.opts, "media": page.media}
        return ask(request, row, act, back, context)


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
