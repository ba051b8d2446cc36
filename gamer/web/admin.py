"""What admin pages of several apps share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from gamer.errors import GamerError
from gamer.web.pagination import BoundedPaginator


class BoundedAdmin(ModelAdmin):  # type: ignore[misc]
    """A list that stays fast however long the table: counted up to 10,000, searched by prefix (`…__startswith`)."""

    # Which of "create", "update", "delete" and "action" leave an event by themselves, because they are calls of a service.
    # Every other write of an admin page is recorded by events.auditing.
    records_itself: frozenset[str] = frozenset()
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50


ALL_WRITES = frozenset({"create", "update", "delete", "action"})


class ServiceAdmin(BoundedAdmin):
    """Saves and deletes through services, and shows what they refuse as a message."""

    records_itself = ALL_WRITES

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return told(request, lambda: super(ServiceAdmin, self).changeform_view(request, *args, **options))

    def changelist_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return told(request, lambda: super(ServiceAdmin, self).changelist_view(request, *args, **options))

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return told(request, lambda: super(ServiceAdmin, self).delete_view(request, *args, **options))


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
