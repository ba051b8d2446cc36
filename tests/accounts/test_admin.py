from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys, logins
from accounts.models import ApiKey, Department, Scope, User
from events.models import Event
from gamer.errors import NotAuthenticated
from tests.bad_inputs import ODD_TEXTS
from tests.factories import ApiKeyFactory, UserFactory
from tests.world import NOON, PASSWORD, World, client_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def helper(world: World) -> Client:
    """Staff who may edit people and keys but is no administrator."""
    user = UserFactory(handle="helper", is_staff=True)
    names = ("view_user", "change_user", "view_apikey")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return client_for(user)


def user_form(user: User, **changes: Any) -> dict[str, Any]:
    """What the page of a user posts."""
    form = {
        "handle": user.handle,
        "email": user.email or "",
        "first_name": user.first_name,
        "last_name": user.last_name,
        "department": user.department_id or "",
        "is_active": "on",
        **({"is_staff": "on"} if user.is_staff else {}),
    }
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


class TestFavicon:
    @pytest.mark.parametrize("page", ["/admin/login/", "/password/forgotten"])
    def test_is_named_by_pages_and_there(self, anyone: APIClient, page: str) -> None:
        (address,) = re.findall(r'<link rel="icon" href="([^"]+)"', anyone.get(page).content.decode())
        found = finders.find(address.removeprefix(settings.STATIC_URL))
        assert ElementTree.parse(str(found)).getroot().tag.endswith("svg")
        assert anyone.get("/favicon.ico")["Location"] == address


class TestLogin:
    @pytest.mark.parametrize("name", ["sam@gamer.test", "Sam@Gamer.test"])
    def test_lets_staff_in_by_address(self, world: World, client: Client, name: str) -> None:
        answer = client.post("/admin/login/", {"username": name, "password": PASSWORD})
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        assert client.get("/admin/").status_code == 200

    def test_is_recorded_and_so_is_its_end(self, world: World, client: Client) -> None:
        client.post("/admin/login/", {"username": "sam@gamer.test", "password": "wrong"})
        client.post("/admin/login/", {"username": "alice@gamer.test", "password": PASSWORD})
        client.post("/admin/login/", {"username": "sam@gamer.test", "password": PASSWORD})
        client.post("/admin/logout/")
        found = [(event.actor, event.action) for event in Event.objects.order_by("id")]
        assert found == [("user:sam@gamer.test", "login"), ("user:sam@gamer.test", "logout")]

    def test_keeps_players_out(self, world: World, client: Client) -> None:
        page = client.post("/admin/login/", {"username": "alice@gamer.test", "password": PASSWORD})
        assert page.status_code == 200
        assert client.get("/admin/").status_code == 302

    def test_counts_failures_together_with_the_apis(
        self, world: World, client: Client, anyone: APIClient, settings: Any
    ) -> None:
        settings.AXES_LIMITS = {"ip_address": 100, "username": 2}
        anyone.post("/auth/login", {"email": "sam@gamer.test", "password": "wrong"})
        wrong = client.post("/admin/login/", {"username": "sam@gamer.test", "password": "wrong"})
        assert "Please enter the correct" in wrong.content.decode()
        for _ in range(2):
            page = client.post("/admin/login/", {"username": "Sam@gamer.test", "password": PASSWORD})
            assert "Too many failed logins" in page.content.decode()
        assert client.get("/admin/").status_code == 302


class TestLists:
    @pytest.mark.parametrize(
        "name", ["accounts/user", "accounts/department", "accounts/apikey", "auth/group", "events/event"]
    )
    def test_open(self, sam: Client, name: str) -> None:
        assert sam.get(f"/admin/{name}/").status_code == 200
        assert sam.get(f"/admin/{name}/", {"q": "nothing"}).status_code == 200

    @pytest.mark.parametrize("name", ["q", "o", "department__id__exact"])
    def test_answer_every_odd_parameter(self, sam: Client, name: str) -> None:
        for odd in ODD_TEXTS:
            assert sam.get("/admin/accounts/user/", {name: odd[:500]}).status_code < 500, odd

    def test_open_for_staff_without_an_address(self, world: World, sam: Client) -> None:
        User.objects.filter(pk=world.sam.pk).update(email=None, first_name="", last_name="")
        assert sam.get("/admin/").status_code == 200

    def test_search_people_by_the_beginning_of_a_name(self, world: World, sam: Client) -> None:
        page = sam.get("/admin/accounts/user/", {"q": "ali"}).content.decode()
        assert "alice@gamer.test" in page
        assert "bob@gamer.test" not in page

    def test_cost_the_same_for_many_rows(self, sam: Client, django_assert_max_num_queries: Any) -> None:
        for _ in range(20):
            ApiKeyFactory()
        for name in ("user", "apikey"):
            with django_assert_max_num_queries(8):
                sam.get(f"/admin/accounts/{name}/")


class TestUsers:
    def test_are_made_with_a_password(self, sam: Client) -> None:
        sam.post(
            "/admin/accounts/user/add/",
            {
                "handle": "kim",
                "email": "Kim@gamer.test",
                "usable_password": "true",
                "password1": "a long password",
                "password2": "a long password",
            },
        )
        kim = User.objects.get(handle="kim")
        assert kim.check_password("a long password")
        assert kim.email == "kim@gamer.test"

    def test_are_refused_in_words_when_the_name_is_taken(self, world: World, sam: Client) -> None:
        page = sam.post(
            f"/admin/accounts/user/{world.bob.pk}/change/", user_form(world.bob, handle="alice@gamer.test")
        )
        assert page.status_code == 200
        assert User.objects.get(pk=world.bob.pk).handle == "bob@gamer.test"

    def test_are_neither_suspended_nor_moved_by_a_field(self, world: World, sam: Client) -> None:
        """Services do that, because more than the row changes."""
        path = f"/admin/accounts/user/{world.alice.pk}/change/"
        form = user_form(world.alice, is_active=None, department=world.palace.pk)
        assert sam.post(path, form).status_code == 302
        alice = User.objects.get(pk=world.alice.pk)
        assert (alice.is_active, alice.department) == (True, world.arcade)

    def test_leave_a_record_when_they_are_made_and_get_another_password(
        self, world: World, sam: Client
    ) -> None:
        passwords = {"password1": "a long password", "password2": "a long password"}
        new = {"handle": "kim", "email": "kim@gamer.test", "usable_password": "true", **passwords}
        sam.post("/admin/accounts/user/add/", new)
        kim = User.objects.get(handle="kim")
        path = f"/admin/accounts/user/{kim.pk}/password/"
        sam.post(path, {"password1": "another long one", "password2": "another long one"})
        found = [(event.action, event.details) for event in Event.objects.filter(resource_id="kim")]
        named = {"kind": "user", "name": "kim"}
        assert found == [("create", named), ("update", {**named, "fields": ["password"]})]

    def test_do_not_suspend_themselves(self, world: World, sam: Client) -> None:
        sam.post(
            f"/admin/accounts/user/{world.sam.pk}/change/",
            user_form(world.sam, is_active=None, is_superuser="on"),
        )
        assert User.objects.get(pk=world.sam.pk).is_active

    def test_are_forgiven_their_failed_logins(
        self, world: World, sam: Client, anyone: APIClient, settings: Any
    ) -> None:
        settings.AXES_LIMITS = {"ip_address": 100, "username": 1}
        body = {"email": "alice@gamer.test", "password": "wrong"}
        assert [anyone.post("/auth/login", body).status_code for _ in range(2)] == [401, 429]
        chosen = {"action": "forgive_failures", "_selected_action": [world.alice.pk]}
        sam.post("/admin/accounts/user/", chosen)
        assert anyone.post("/auth/login", {**body, "password": PASSWORD}).status_code == 200

    def test_are_logged_out_by_an_action(self, world: World, sam: Client) -> None:
        pair = logins.begin(user=world.alice, now=timezone.now())
        posted = {"action": "end_logins", "_selected_action": [world.alice.pk]}
        asked = sam.post("/admin/accounts/user/", posted).content.decode()
        assert f"End all logins: {world.alice}?" in asked
        assert world.alice.email in asked
        assert logins.login_of(pair.access, timezone.now()).user == world.alice
        sam.post("/admin/accounts/user/", {**posted, "confirmed": "yes"})
        with pytest.raises(NotAuthenticated):
            logins.login_of(pair.access, timezone.now())

    def test_are_not_logged_out_by_an_action_on_more_than_two_hundred(
        self, world: World, sam: Client
    ) -> None:
        User.objects.bulk_create(User(handle=f"p{number}") for number in range(201))
        posted = {"action": "end_logins", "confirmed": "yes", "select_across": "1"}
        sam.post("/admin/accounts/user/", {**posted, "_selected_action": [world.alice.pk]})
        assert User.objects.get(pk=world.alice.pk).token_epoch == 0

    def test_are_never_deleted(self, world: World, sam: Client) -> None:
        assert sam.post(f"/admin/accounts/user/{world.bob.pk}/delete/", {"post": "yes"}).status_code == 403


class TestHelpers:
    """Staff without all powers get no more by editing people."""

    def test_give_nobody_powers(self, world: World, helper: Client) -> None:
        path = f"/admin/accounts/user/{world.alice.pk}/change/"
        assert (
            helper.post(
                path, user_form(world.alice, is_staff="on", is_superuser="on", first_name="A")
            ).status_code
            == 302
        )
        alice = User.objects.get(pk=world.alice.pk)
        assert (alice.first_name, alice.is_staff, alice.is_superuser) == ("A", False, False)

    def test_do_not_touch_administrators(self, world: World, helper: Client) -> None:
        path = f"/admin/accounts/user/{world.sam.pk}"
        assert (
            helper.post(f"{path}/change/", user_form(world.sam, email="mine@gamer.test")).status_code == 403
        )
        passwords = {"password1": "a long password", "password2": "a long password"}
        assert helper.post(f"{path}/password/", passwords).status_code == 403
        posted = {"action": "end_logins", "_selected_action": [world.sam.pk]}
        for answer in ({}, {"confirmed": "yes"}):
            helper.post("/admin/accounts/user/", {**posted, **answer})
        sam = User.objects.get(pk=world.sam.pk)
        assert (sam.email, sam.check_password(PASSWORD), sam.token_epoch) == ("sam@gamer.test", True, 0)

    def test_make_no_keys(self, helper: Client) -> None:
        assert helper.get("/admin/accounts/apikey/add/").status_code == 403


class TestKeys:
    def add(self, client: Client, **changes: Any) -> Any:
        form = {
            "name": "Site",
            "scopes": ["read", "launch"],
            "expires_at_0": "",
            "expires_at_1": "",
            **changes,
        }
        return client.post("/admin/accounts/apikey/add/", form)

    def test_are_shown_once_in_the_page_itself(self, world: World, sam: Client) -> None:
        page = self.add(sam, department=world.arcade.pk)
        secret = re.findall(r"gk_[0-9a-f]{8}_[\w-]{43}", page.content.decode())[0]
        key = keys.key_of(secret, now=NOON)
        assert (key.name, key.scopes, key.department, key.maker) == (
            "Site",
            ["launch", "read"],
            world.arcade,
            world.sam,
        )
        assert page.headers["Cache-Control"].startswith("no-store")
        assert secret not in str(page.cookies)
        for path in ("", f"{key.pk}/change/", f"{key.pk}/history/"):
            again = sam.get(f"/admin/accounts/apikey/{path}", follow=True).content.decode()
            assert key.prefix in again
            assert secret.split("_", 2)[2] not in again
            assert key.digest not in again
        assert Event.objects.get().actor == "user:sam@gamer.test"

    def test_are_refused_in_words(self, sam: Client) -> None:
        for changes, text in (
            ({"scopes": []}, "This field is required"),
            ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "This is in the past"),
        ):
            page = self.add(sam, **changes)
            assert page.status_code == 200
            assert text in page.content.decode()
        assert not ApiKey.objects.filter(name="Site").exists()

    def test_change_their_name_and_expiry_only(self, world: World, sam: Client) -> None:
        before = ApiKey.objects.get(pk=world.reader_key.pk)
        path = f"/admin/accounts/apikey/{before.pk}/change/"
        form = {
            "name": "New",
            "scopes": ["admin"],
            "digest": "0",
            "expires_at_0": "2099-01-01",
            "expires_at_1": "00:00",
        }
        assert sam.post(path, form).status_code == 302
        assert Event.objects.get().details["changed"] == ["expires_at", "name"]
        after = ApiKey.objects.get(pk=before.pk)
        assert (after.name, after.scopes, after.digest) == ("New", [Scope.READ], before.digest)
        assert after.expires_at is not None

    def test_that_have_expired_get_another_name_or_a_later_end(self, world: World, sam: Client) -> None:
        key, past = world.reader_key, timezone.now() - timedelta(days=1)
        ApiKey.objects.filter(pk=key.pk).update(expires_at=past)
        path = f"/admin/accounts/apikey/{key.pk}/change/"
        kept = {"expires_at_0": f"{past:%Y-%m-%d}", "expires_at_1": f"{past:%H:%M:%S}"}
        assert sam.post(path, {"name": "Former site", **kept}).status_code == 302
        earlier = {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
        answer = sam.post(path, {"name": "Another", **earlier})
        assert answer.context["adminform"].form.errors["expires_at"] == ["In the past."]
        after = ApiKey.objects.get(pk=key.pk)
        assert (after.name, after.expires_at) == ("Former site", past)

    def test_that_are_revoked_are_shown_and_not_changed(self, world: World, sam: Client) -> None:
        key = world.reader_key
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
        path = f"/admin/accounts/apikey/{key.pk}/"
        assert 'name="_save"' not in sam.get(f"{path}change/").content.decode()
        assert sam.post(f"{path}change/", {"name": "New"}).status_code == 403

    def test_that_are_revoked_say_so_to_who_comes_from_a_page_of_before(
        self, world: World, sam: Client
    ) -> None:
        key = world.reader_key
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
        path = f"/admin/accounts/apikey/{key.pk}/"
        shown = sam.get(f"{path}change/").content.decode()
        for act, given, said in (
            ("revoke", {}, f"{key}: nothing to do, it was so already."),
            ("rotate", {"hours": "0"}, "This key is revoked."),
        ):
            assert f"{path}{act}/" not in shown
            answer = sam.post(f"{path}{act}/", given, follow=True)
            assert [str(one) for one in answer.context["messages"]] == [said]

    def test_get_a_new_text(self, world: World, sam: Client) -> None:
        key, old = world.reader_key, world.secret_of(world.reader_key)
        assert "New text" in sam.get(f"/admin/accounts/apikey/{key.pk}/change/").content.decode()
        (path,) = set(
            re.findall(
                r'href="([^"]*rotate[^"]*)"',
                sam.get(f"/admin/accounts/apikey/{key.pk}/change/").content.decode(),
            )
        )
        assert "Only the text" in sam.get(path).content.decode()
        assert keys.key_of(old, now=NOON) == key
        page = sam.post(path, {"hours": "1"})
        (secret,) = re.findall(r"gk_[0-9a-f]{8}_[\w-]{43}", page.content.decode())
        assert page.headers["Cache-Control"].startswith("no-store")
        now = timezone.now()
        assert keys.key_of(secret, now=now) == keys.key_of(old, now=now) == key
        with pytest.raises(NotAuthenticated):
            keys.key_of(old, now=now + timedelta(hours=2))

    def test_of_administrators_are_not_for_helpers(self, world: World, client: Client) -> None:
        user = UserFactory(is_staff=True)
        names = ("view_apikey", "change_apikey")
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        path = f"/admin/accounts/apikey/{world.reader_key.pk}/rotate"
        assert client.post(path, {"hours": "0"}).status_code in (403, 404)
        assert client.post(f"/admin/accounts/apikey/{world.reader_key.pk}/revoke/").status_code == 403
        posted = {"action": "revoke", "confirmed": "yes", "_selected_action": [world.reader_key.pk]}
        client.post("/admin/accounts/apikey/", posted)
        assert keys.key_of(world.secret_of(world.reader_key), now=NOON)

    def test_are_revoked_by_an_action_and_never_deleted(
        self, world: World, sam: Client, as_reader: APIClient
    ) -> None:
        key = world.reader_key
        posted = {"action": "revoke", "_selected_action": [key.pk]}
        asked = sam.post("/admin/accounts/apikey/", posted)
        assert f"Revoke: {key}?" in asked.content.decode()
        assert as_reader.get("/health?full=1").status_code == 200
        sam.post("/admin/accounts/apikey/", {**posted, "confirmed": "yes"})
        assert as_reader.get("/health?full=1").status_code == 401
        assert sam.post(f"/admin/accounts/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_are_asked_about_in_a_fixed_number_of_statements(self, world: World, sam: Client) -> None:
        def counted(chosen: list[int]) -> int:
            posted = {"action": "revoke", "_selected_action": chosen}
            with CaptureQueriesContext(connection) as asked:
                assert len(sam.post("/admin/accounts/apikey/", posted).context["chosen"]) == len(chosen)
            return len(asked)

        makers = [world.alice, world.bob, world.charlie]
        several = [ApiKeyFactory(maker=maker).pk for maker in makers]
        assert counted(several) == counted(several[:1])

    def test_are_revoked_on_their_own_page_which_asks_and_then_offers_it_no_more(
        self, world: World, sam: Client, as_reader: APIClient
    ) -> None:
        page = f"/admin/accounts/apikey/{world.reader_key.pk}/change/"
        (path,) = set(re.findall(r'href="([^"]*/revoke/)"', sam.get(page).content.decode()))
        assert "what calls the API with it stops working" in sam.get(path).content.decode()
        assert as_reader.get("/health?full=1").status_code == 200
        assert sam.post(path)["Location"] == page
        assert as_reader.get("/health?full=1").status_code == 401
        assert path not in sam.get(page).content.decode()
        assert sam.get("/admin/accounts/apikey/0/revoke/")["Location"] == "/admin/"


class TestDepartments:
    def test_are_made(self, sam: Client) -> None:
        sam.post("/admin/accounts/department/add/", {"name": "New"})
        assert Department.objects.filter(name="New").exists()
