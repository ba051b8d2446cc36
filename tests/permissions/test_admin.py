"""Every page of the admin, from its own URLs: nobody and no player comes in, and staff only where they were let."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, URLPattern, URLResolver, reverse

from accounts.models import User
from tests.factories import UserFactory
from tests.world import World

pytestmark = pytest.mark.django_db

# The way in and out, and the texts that the browser needs, which say nothing of ours.
WITHOUT_LOGIN = {"login", "logout", "jsi18n"}
# What is everybody's of the staff: the front page and their own account. Search finds what one may see, and the rest of these
# say that nothing is there.
FOR_ALL_STAFF = {
    "index", "search", "password_change", "password_change_done", "accounts_own", "autocomplete", "app_list", "view_on_site",
}  # fmt: skip
HOME = "/admin/"


def named(among: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for one in among:
        if isinstance(one, URLResolver):
            yield from named(one.url_patterns)
        elif one.name:
            yield one


def path_of(pattern: URLPattern) -> str:
    """Its path, with values that its parameters take; nothing is there under them, and nobody shall learn that."""
    names = pattern.pattern.regex.groupindex
    for values in ("1", "0198c0de-0000-7000-8000-000000000000", "accounts"):
        try:
            return reverse(f"admin:{pattern.name}", kwargs=dict.fromkeys(names, values))
        except NoReverseMatch:
            continue
    raise AssertionError(f"no path for {pattern.name}")


@cache
def pages() -> dict[str, str]:
    """By the names of their addresses."""
    patterns = named(admin.site.urls[0])
    return {pattern.name: path_of(pattern) for pattern in patterns if pattern.name not in WITHOUT_LOGIN}


def signed_in(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def test_walks_the_pages_of_every_model() -> None:
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        assert f"{name}_changelist" in pages()
    assert {"accounts_user_add", "accounts_user_change", "accounts_user_history"} <= pages().keys()
    assert {"events_event_export", "vms_vm_terminate", "accounts_apikey_rotate"} <= pages().keys()


@pytest.mark.parametrize("who", [None, "alice", "mona"])
def test_sends_who_is_not_staff_to_the_login(world: World, who: str | None) -> None:
    """Nobody, a player, and the owner of a department."""
    client = signed_in(getattr(world, who) if who else None)
    for name, path in pages().items():
        for method in (client.get, client.post):
            answer = method(path)
            assert answer.status_code == 302, (name, answer.status_code)
            assert answer["Location"].startswith("/admin/login/"), (name, answer["Location"])


def test_refuses_staff_who_were_let_do_nothing(world: World) -> None:
    """Where a page leads on, what it leads to does; or it says on the front page that nothing is there."""
    client = signed_in(UserFactory(is_staff=True))
    found = {}
    for name, path in pages().items():
        for method in ("get", "post"):
            answer = getattr(client, method)(path)
            while (leads_on := answer.status_code == 302) and answer.url != HOME:
                answer = client.get(answer.url)
            found[f"{method} {name}"] = "home" if leads_on else answer.status_code
    let_in = {one for one, code in found.items() if code not in (403, "home")}
    assert {one.split()[1] for one in let_in} == FOR_ALL_STAFF
    assert found["get index"] == 200  # what is at home
    homes = {one for one, code in found.items() if code == "home"}
    assert all(one.endswith("_history") for one in homes), homes


def columns_of_people(model: type[Model], steps: int) -> Iterator[str]:
    """The lookups that lead from a model's rows to a person's password, in so many steps over relations."""
    if model is User:
        yield "password__startswith"
    for field in model._meta.get_fields():
        if steps and isinstance(field.related_model, type):
            for rest in columns_of_people(field.related_model, steps - 1):
                yield f"{field.name}__{rest}"


def test_answers_no_list_that_is_narrowed_by_what_people_are_known_by(world: World) -> None:
    """A hash that is asked for letter by letter is told."""
    request = RequestFactory().get(HOME)
    request.user = world.sam
    allowed, asked = [], 0
    for model, pages_of in admin.site._registry.items():
        for lookup in columns_of_people(model, 3):
            asked += 1
            if pages_of.lookup_allowed(lookup, "a", request):
                allowed.append(f"{model._meta.label}?{lookup}")
    assert (asked > 100, allowed) == (True, [])
