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

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50


class TellingAdmin(BoundedAdmin):
    """Shows what services refuse as a message, and comes back to the page."""

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return self._told(
            request, lambda: super(TellingAdmin, self).changeform_view(request, *args, **options)
        )

    def changelist_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return self._told(
            request, lambda: super(TellingAdmin, self).changelist_view(request, *args, **options)
        )

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        return self._told(request, lambda: super(TellingAdmin, self).delete_view(request, *args, **options))

    def _told(self, request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
        # What a form cannot see, because somebody else was faster.
        try:
            return answer()
        except GamerError as error:
            if request.method != "POST":
                raise
            messages.error(request, error.message)
            return HttpResponseRedirect(request.get_full_path())


class ReadOnlyAdmin(BoundedAdmin):
    """Looked at, never edited: rows that only services write."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
