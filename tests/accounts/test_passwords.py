from __future__ import annotations

import re
import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from accounts import logins, passwords, tasks
from accounts.models import Login, User
from events.channels.base import TryLater
from events.models import Event
from gamer.errors import RateLimited, ValidationError
from tests.accounts.hashing import count_hashes
from tests.at_once import at_once
from tests.bad_inputs import assert_error, sweep_bodies
from tests.events.channels.moody import moody
from tests.factories import UserFactory
from tests.world import NOON, PASSWORD, Clock, World, client_of

pytestmark = pytest.mark.django_db

NEW = "a tall green door"


def is_good(pair: logins.Tokens) -> bool:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    return client.get("/auth/profile").status_code == 200


class TestChange:
    def change(self, client: APIClient, current: str = PASSWORD, new: str = NEW) -> Any:
        return client.post("/auth/password", {"current_password": current, "new_password": new})

    def test_ends_every_login_and_begins_a_new_one(self, world: World) -> None:
        this, other = (logins.begin(user=world.alice, now=timezone.now()) for _ in range(2))
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {this.access}")
        answer = self.change(client)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        for ended in (this, other):
            assert not is_good(ended)
            assert APIClient().post("/auth/refresh", {"refresh": ended.refresh}).status_code == 401
        assert is_good(logins.Tokens(world.alice, **answer.json()))
        assert APIClient().post("/auth/refresh", {"refresh": answer.json()["refresh"]}).status_code == 200
        assert User.objects.get(pk=world.alice.pk).check_password(NEW)
        assert [event.action for event in Event.objects.all()] == ["password_changed"]

    def test_takes_the_current_one_only(self, as_alice: APIClient) -> None:
        response = self.change(as_alice, current="wrong")
        assert response.status_code == 400
        assert set(assert_error(response)) == {"current_password"}

    def test_takes_a_good_new_one_only(self, as_alice: APIClient) -> None:
        details = assert_error(self.change(as_alice, new="12345"))
        assert set(details) == {"new_password"}
        assert "too short" in details["new_password"][0]

    def test_counts_with_the_failed_logins(self, world: World, as_alice: APIClient, settings: Any) -> None:
        settings.AXES_LIMITS = {"ip_address": 100, "username": 2}
        for _ in range(2):
            self.change(as_alice, current="wrong")
        assert self.change(as_alice).status_code == 429
        assert (
            APIClient().post("/auth/login", {"email": "alice@gamer.test", "password": PASSWORD}).status_code
            == 429
        )

    def test_by_the_admins_cookie_goes_on_under_another(self, world: World) -> None:
        browser, old, other = APIClient(), Client(), Client()
        for one in (browser, other):
            one.force_login(world.sam)
        old.cookies["sessionid"] = browser.cookies["sessionid"].value
        assert old.get("/admin/").status_code == 200
        answer = self.change(browser)
        assert (answer.status_code, answer.content) == (204, b"")
        assert browser.get("/auth/profile").status_code == 200
        assert not Login.objects.exists()
        for ended in (old, other):
            assert ended.get("/admin/").status_code == 302

    def test_refuses_every_broken_body_by_name(self, as_alice: APIClient) -> None:
        right = {"current_password": PASSWORD, "new_password": NEW}
        assert sweep_bodies(as_alice, "/auth/password", right) > 50


class TestAskReset:
    def ask(self, client: APIClient, email: str) -> Any:
        return client.post("/auth/password/reset", {"email": email})

    def test_reveals_nothing(self, world: World, anyone: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        UserFactory(email="gone@gamer.test", is_active=False)
        hashed = count_hashes(monkeypatch)
        answers, costs = set(), set()
        for email in ("alice@gamer.test", "nobody@gamer.test", "gone@gamer.test", "no address"):
            with CaptureQueriesContext(connection) as asked:
                response = self.ask(anyone, email)
            answers.add((response.status_code, response.content))
            costs.add(len(asked))
        assert {status for status, _ in answers} == {202}
        assert len(answers) == len(costs) == 1
        assert hashed == []
        assert mail.outbox == []  # the worker's to send

    def test_has_the_worker_send_it(self, world: World, anyone: APIClient) -> None:
        self.ask(anyone, " Alice@gamer.test")
        (row,) = OrmQ.objects.all()
        assert (row.func(), row.args()) == ("accounts.tasks.send_password_reset", ("alice@gamer.test",))

    def test_is_bounded_per_address_and_per_place(self, clock: Clock) -> None:
        for number in range(5):
            passwords.ask_reset(email="a@gamer.test", ip=f"10.0.0.{number}", now=clock.now)
        with pytest.raises(RateLimited):
            passwords.ask_reset(email="A@gamer.test", ip="10.0.1.1", now=clock.now)
        for number in range(20):
            passwords.ask_reset(email=f"b{number}@gamer.test", ip="10.0.2.1", now=clock.now)
        with pytest.raises(RateLimited):
            passwords.ask_reset(email="c@gamer.test", ip="10.0.2.1", now=clock.now)

    def test_refuses_every_broken_body_by_name(self, anyone: APIClient) -> None:
        assert sweep_bodies(anyone, "/auth/password/reset", {"email": "a@gamer.test"}) > 30


class TestMail:
    def test_carries_a_link_and_the_same_token(self, world: World, settings: Any) -> None:
        settings.PUBLIC_URL = "https://gamer.example"
        tasks.send_password_reset("alice@gamer.test")
        (sent,) = mail.outbox
        assert (sent.to, sent.subject) == (["alice@gamer.test"], "A new password for Gamer")
        (token,) = re.findall(r"https://gamer\.example/password/new/(\S+)", sent.body)
        assert f"\n{token}\n" in sent.body
        assert "Hello Alice" in sent.body
        assert "for 1 hour." in sent.body
        event = Event.objects.get()
        assert (event.action, event.resource_id) == ("password_reset_mailed", "alice@gamer.test")
        assert token not in str(vars(event))

    def test_is_not_sent_where_nobody_may_log_in(self, world: World) -> None:
        UserFactory(email="gone@gamer.test", is_active=False)
        for email in ("nobody@gamer.test", "gone@gamer.test", ""):
            tasks.send_password_reset(email)
        assert mail.outbox == []

    def test_that_is_refused_for_good_is_tried_no_more_and_told(self, world: World) -> None:
        with moody(smtplib.SMTPRecipientsRefused({"alice@gamer.test": (550, b"no such user")})):
            tasks.send_password_reset("alice@gamer.test")
        event = Event.objects.get()
        assert (event.action, event.resource_id) == ("mail_refused", "alice@gamer.test")
        assert event.details == {"why": "The mail server refuses the recipient (550)."}

    def test_that_is_refused_for_now_is_tried_again(self, world: World) -> None:
        with moody(smtplib.SMTPServerDisconnected("gone")), pytest.raises(TryLater):
            tasks.send_password_reset("alice@gamer.test")
        assert not Event.objects.exists()


class TestReset:
    def confirm(self, token: str, new: str = NEW) -> Any:
        return APIClient().post("/auth/password/reset/confirm", {"token": token, "new_password": new})

    def test_sets_a_password_once(self, world: World) -> None:
        pair = logins.begin(user=world.alice, now=timezone.now())
        token = passwords.make_token(world.alice)
        assert self.confirm(token).status_code == 204
        assert User.objects.get(pk=world.alice.pk).check_password(NEW)
        assert not is_good(pair)
        again = self.confirm(token, "another tall door")
        assert again.status_code == 400
        assert set(assert_error(again)) == {"token"}
        assert [event.action for event in Event.objects.all()] == ["password_reset"]

    def test_ends_a_lock_out(self, world: World, settings: Any) -> None:
        settings.AXES_LIMITS = {"ip_address": 100, "username": 1}
        body = {"email": "alice@gamer.test", "password": "wrong"}
        assert [APIClient().post("/auth/login", body).status_code for _ in range(2)] == [401, 429]
        self.confirm(passwords.make_token(world.alice))
        assert APIClient().post("/auth/login", {**body, "password": NEW}).status_code == 200

    def test_keeps_the_token_when_the_password_is_bad(self, world: World) -> None:
        token = passwords.make_token(world.alice)
        refused = self.confirm(token, "12345")
        assert set(assert_error(refused)) == {"new_password"}
        assert self.confirm(token).status_code == 204

    def test_refuses_what_is_no_token_of_this_person(self, world: World, settings: Any) -> None:
        token = passwords.make_token(world.alice)
        who, _, rest = token.partition(".")
        foreign = passwords.make_token(world.bob).partition(".")[2]
        for text in (
            "x", ".", "..", rest, f"{who}.", f"{who}.{foreign}", f"{who}.{rest}x", f"AAAA.{rest}", f"é.{rest}",
            f"OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5.{rest}",
        ):  # fmt: skip
            response = self.confirm(text)
            assert response.status_code == 400, text
            assert set(assert_error(response)) == {"token"}

    def test_refuses_what_is_older_than_an_hour(self, world: World) -> None:
        def aged(age: timedelta) -> str:
            made = timezone.now().replace(tzinfo=None) - age
            seconds = passwords.tokens._num_seconds(made)
            rest = passwords.tokens._make_token_with_timestamp(world.alice, seconds, passwords.tokens.secret)
            return f"{passwords.make_token(world.alice).partition('.')[0]}.{rest}"

        assert self.confirm(aged(timedelta(minutes=61))).status_code == 400
        assert self.confirm(aged(timedelta(minutes=59))).status_code == 204

    @pytest.mark.parametrize("ends", ["suspend", "logout_all"])
    def test_refuses_what_was_ended_meanwhile(self, world: World, ends: str) -> None:
        token = passwords.make_token(world.alice)
        if ends == "suspend":
            User.objects.filter(pk=world.alice.pk).update(is_active=False)
        else:
            logins.end_all(user=world.alice)
        assert self.confirm(token).status_code == 400

    @pytest.mark.django_db(transaction=True)
    def test_is_good_for_one_of_many_at_once(self, world: World) -> None:
        token = passwords.make_token(world.alice)
        results = at_once(*[lambda: passwords.reset(token=token, new=NEW, now=NOON)] * 4)
        assert sum(isinstance(one, User) for one in results) == 1
        assert sum(isinstance(one, ValidationError) for one in results) == 3

    def test_refuses_every_broken_body_by_name(self, anyone: APIClient) -> None:
        assert sweep_bodies(anyone, "/auth/password/reset/confirm", {"token": "x", "new_password": NEW}) > 50


class TestPages:
    def test_lead_from_a_forgotten_password_to_a_new_one(self, world: World, client: Client) -> None:
        assert "/password/forgotten" in client.get("/admin/login/").content.decode()
        assert client.get("/password/forgotten").status_code == 200
        asked = client.post("/password/forgotten", {"email": "sam@gamer.test"}, follow=True)
        assert "a mail is on its way" in asked.content.decode()
        (row,) = OrmQ.objects.all()
        tasks.send_password_reset(*row.args())
        (path,) = re.findall(r"http://[^/]+(/password/new/\S+)", mail.outbox[0].body)
        opened = client.get(path)
        assert opened.status_code == 302
        assert opened.headers["Location"].endswith(".set-password")  # the token leaves the address
        page = client.get(opened.headers["Location"])
        assert page.status_code == 200
        assert "no-store" in page.headers["Cache-Control"]
        form = {"new_password1": "12345", "new_password2": "12345"}
        assert "too short" in client.post(opened.headers["Location"], form).content.decode()
        done = client.post(
            opened.headers["Location"], {"new_password1": NEW, "new_password2": NEW}, follow=True
        )
        assert "Your new password is set" in done.content.decode()
        assert User.objects.get(pk=world.sam.pk).check_password(NEW)
        assert "not good any more" in client.get(path, follow=True).content.decode()

    @pytest.mark.parametrize("path", ["AAAA.x", "MQ.set-password", "x.x", "MQ.x-y", "é.é"])
    def test_say_when_a_link_is_none_of_ours(self, client: Client, path: str) -> None:
        assert "not good any more" in client.get(f"/password/new/{path}").content.decode()

    def test_say_to_who_is_suspended_meanwhile_that_their_link_is_not_good(
        self, world: World, client: Client
    ) -> None:
        opened = client.get(passwords.link_to(passwords.make_token(world.alice))).headers["Location"]
        User.objects.filter(pk=world.alice.pk).update(is_active=False)
        page = client.post(opened, {"new_password1": NEW, "new_password2": NEW}).content.decode()
        assert "This link is not good any more; ask for a new one." in page
        assert "token:" not in page

    def test_are_bounded_like_the_api(self, client: Client) -> None:
        for _ in range(5):
            assert client.post("/password/forgotten", {"email": "a@gamer.test"}).status_code == 302
        page = client.post("/password/forgotten", {"email": "a@gamer.test"})
        assert "Too many requests" in page.content.decode()


class TestStaffsOwn:
    def change(self, client: Client, old: str) -> Any:
        form = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
        return client.post("/admin/password_change/", form)

    def test_is_changed_in_the_admin_and_keeps_this_session(self, world: World) -> None:
        browser, other = Client(), Client()
        for one in (browser, other):
            one.force_login(world.sam)
        assert browser.get("/admin/password_change/").status_code == 200
        assert self.change(browser, PASSWORD).status_code == 302
        assert browser.get("/admin/").status_code == 200
        assert other.get("/admin/").status_code == 302
        assert Event.objects.get().action == "password_changed"

    def test_counts_with_the_failed_logins(self, world: World, settings: Any) -> None:
        settings.AXES_LIMITS = {"ip_address": 100, "username": 1}
        browser = Client()
        browser.force_login(world.sam)
        assert "This is not your password" in self.change(browser, "wrong").content.decode()
        assert "Too many failed logins" in self.change(browser, PASSWORD).content.decode()
        assert User.objects.get(pk=world.sam.pk).check_password(PASSWORD)

    def test_is_for_staff(self, world: World) -> None:
        assert Client().get("/admin/password_change/").status_code == 302
        player = client_of(world.alice)
        assert player.get("/admin/password_change/").status_code == 302
