"""What admin pages of several apps share."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin

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


class ReadOnlyAdmin(BoundedAdmin):
    """Looked at, never edited: rows that only services write."""

    records_itself = ALL_WRITES

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
