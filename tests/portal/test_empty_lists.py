"""What lists without rows say: where rows come from or what to do next, and never to create what nobody can."""

from __future__ import annotations

from django.contrib import admin
from django.test import Client

from accounts.models import User
from billing.models import UsageDay
from vms.models import Installation

# Never without rows: there is one installation and who looks is a user; costs have a page of their own.
NEVER_EMPTY = {Installation, User, UsageDay}


def test_every_list_of_ours_has_a_hint() -> None:
    without = {
        model._meta.label
        for model, page in admin.site._registry.items()
        if not getattr(page, "empty_hint", "") and model not in NEVER_EMPTY
    }
    assert without == {f"django_q.{name}" for name in ("Schedule", "Success", "Failure", "OrmQ")}


def shown(client: Client, path: str, **query: str) -> str:
    return client.get(f"/admin/{path}/", query).content.decode()


class TestWithoutRows:
    def test_says_what_that_means_and_offers_nothing_to_create(self, sam: Client) -> None:
        page = shown(sam, "vms/stray")
        assert "No strays" in page
        assert "no provider lists a machine of ours that no VM wants" in page
        assert "reate a new" not in page
        assert "/admin/vms/stray/add/" not in page

    def test_leads_to_the_form_who_may_add(self, sam: Client) -> None:
        page = shown(sam, "vms/provideraccount")
        assert "Nothing can be bought without an account." in page
        assert page.count('href="/admin/vms/provideraccount/add/"') >= 1
        assert "Add provider account" in page

    def test_says_so_for_the_queues_lists_too(self, sam: Client) -> None:
        assert "No Failed tasks" in shown(sam, "django_q/failure")


class TestWithoutMatches:
    def test_says_what_is_searched_and_leads_back(self, sam: Client) -> None:
        page = shown(sam, "accounts/user", q="nobody-at-all")
        assert "Nothing matches" in page
        assert '<a href="?"' in page
        assert "Searched is: " in page

    def test_leads_back_to_a_window_in_which_a_row_is_still_picked(self, sam: Client) -> None:
        page = shown(sam, "accounts/project", q="nothing-at-all", _popup="1")
        assert "Nothing matches" in page
        assert '<a href="?_popup=1" class="border' in page
        empty = shown(sam, "billing/budget", _popup="1", _to_field="id")
        assert '<a href="/admin/billing/budget/add/?_popup=1&amp;_to_field=id" class="bg' in empty

    def test_of_a_filter_is_not_taken_for_an_empty_list(self, sam: Client) -> None:
        page = shown(sam, "vms/vm", status="running")
        assert "Nothing matches" in page
        assert "launch makes one" not in page
