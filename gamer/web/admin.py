"""What admin pages of several apps share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from gamer.errors import GamerError
from gamer.web.pagination import BoundedPaginator


class ByKey:
    """The mixin of fields in which a row is searched and picked: Django looks up whatever was sent, and dies of what is no key."""

    def optgroups(self, name: str, value: list[str], attr: Any = None) -> Any:
        keys = [one for one in value if one.isascii() and one.isdecimal()]
        return super().optgroups(name, keys, attr)  # type: ignore[misc]


class Picked(ByKey, AutocompleteSelect):  # type: ignore[misc]
    """One row."""


class PickedRows(ByKey, AutocompleteSelectMultiple):  # type: ignore[misc]
    """Several rows."""


class BoundedAdmin(ModelAdmin):  # type: ignore[misc]
    """A list that stays fast however long the table: counted up to 10,000, searched by prefix (`…__startswith`)."""

    # Which of "create", "update", "delete" and "action" leave an event by themselves, because they are calls of a service.
    # Every other write of an admin page is recorded by events.auditing.
    records_itself: frozenset[str] = frozenset()
    # What a list without rows says: where they come from, or what to do next (templates/unfold/helpers/empty_results.html).
    empty_hint: str
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            options.setdefault("widget", Picked(db_field, self.admin_site, using=options.get("using")))
        return super().formfield_for_foreignkey(db_field, request, **options)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            options.setdefault("widget", PickedRows(db_field, self.admin_site, using=options.get("using")))
        return super().formfield_for_manytomany(db_field, request, **options)


ALL_WRITES = frozenset({"create", "update", "delete", "action"})


class ServiceAdmin(BoundedAdmin):
    """Saves and deletes through services. What they refuse of a form stands beside its fields, of anything else in a message."""

    records_itself = ALL_WRITES

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **options)
            return answer
        except GamerError as error:
            if request.method != "POST":
                raise
            # Once more, now as a form that is not valid: nothing is saved, and what was typed stays.
            vars(request)["refusal"] = error
            return told(request, lambda: super(ServiceAdmin, self).changeform_view(request, *args, **options))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change, **options)
        refusal = vars(request).get("refusal")
        return form if refusal is None else refused(form, refusal)

    def changelist_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return told(request, lambda: super(ServiceAdmin, self).changelist_view(request, *args, **options))

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return told(request, lambda: super(ServiceAdmin, self).delete_view(request, *args, **options))


def refused(form: type[forms.BaseForm], refusal: GamerError) -> type[forms.BaseForm]:
    """The form that a service refused: wrong beside the fields that it names, as a whole where it names none."""

    class Refused(form):  # type: ignore[misc,valid-type]
        def full_clean(self) -> None:
            super().full_clean()
            if not self.is_bound:
                return
            named = {name: texts for name, texts in refusal.details.items() if name in self.fields}
            for name, texts in named.items():
                self.add_error(name, texts)
            if not named:
                self.add_error(None, refusal.message)

    return Refused


def told(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """The answer, or what a form cannot see (because somebody else was faster) as a message on the same page."""
    try:
        return answer()
    except GamerError as error:
        if request.method != "POST":
            raise
        messages.error(request, error.message)
        return HttpResponseRedirect(request.get_full_path())


class ReadOnlyAdmin(BoundedAdmin):
    """Looked at, never edited: rows that only services write."""

    records_itself = ALL_WRITES

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
