from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from rest_framework.test import APIClient

from accounts import logins, second_factor
from accounts.models import User
from accounts.models.credentials import Authenticator
from accounts.principal import Principal
from events.models import Event
from gamer.errors import InvalidState, NotAuthenticated, PermissionDenied
from tests.at_once import at_once
from tests.bad_inputs import assert_error
from tests.factories import UserFactory
from tests.world import NOON, PASSWORD, World, client_for

pytestmark = pytest.mark.django_db

OWN = "/admin/accounts/user/account/"


def code_of(device: Authenticator, steps: int = 0, at: datetime | None = None) -> str:
    """What the app shows now, or some steps of 30 s away."""
    shown = TOTP(device.key, step=30, digits=6)
    shown.time = (at or timezone.now()).timestamp() + 30 * steps
    return f"{shown.token():06d}"


def enrol(user: User) -> tuple[Authenticator, list[str]]:
    """An authenticator that is on and has shown no code yet, and the recovery codes."""
    device = second_factor.begin(user=user)
    codes = second_factor.confirm(user=user, code=code_of(device), now=timezone.now())
    Authenticator.objects.update(last_step=-1)
    return Authenticator.objects.get(user=user), codes


def log_in(otp: str | None = None, password: str = PASSWORD) -> Any:
    body = {"email": "sam@gamer.test", "password": password}
    return APIClient().post("/auth/login", body if otp is None else {**body, "otp": otp})


def let_time_pass() -> None:
    """As if the last wrong code were two hours old."""
    past = timedelta(hours=2)
    for device in Authenticator.objects.all():
        if device.throttling_failure_timestamp:
            Authenticator.objects.filter(pk=device.pk).update(
                throttling_failure_timestamp=device.throttling_failure_timestamp - past
            )


class TestLogin:
    def test_asks_for_a_code_where_one_is_set_up(self, world: World) -> None:
        assert log_in().status_code == 200
        device, _ = enrol(world.sam)
        for otp in (None, "", " "):
            response = log_in(otp)
            assert response.status_code == 401
            assert assert_error(response) == {"otp": ["required"]}
        assert log_in(code_of(device)).status_code == 200

    def test_says_nothing_of_codes_without_the_password(self, world: World) -> None:
        device, _ = enrol(world.sam)
        assert assert_error(log_in(password="wrong")) == {}
        assert assert_error(log_in(code_of(device), password="wrong")) == {}

    def test_ignores_a_code_that_nobody_asked_for(self, world: World) -> None:
        assert log_in("123456").status_code == 200

    def test_takes_a_code_once(self, world: World) -> None:
        device, _ = enrol(world.sam)
        code = code_of(device)
        assert log_in(code).status_code == 200
        assert assert_error(log_in(code)) == {"otp": ["wrong"]}

    @pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (1, True), (2, False)])
    def test_takes_the_codes_of_about_now(self, world: World, steps: int, is_good: bool) -> None:
        device, _ = enrol(world.sam)
        ask = partial(second_factor.demand, user=world.sam, code=code_of(device, steps, at=NOON), now=NOON)
        if is_good:
            ask()
            return
        with pytest.raises(NotAuthenticated):
            ask()

    @pytest.mark.parametrize("otp", ["000000", "0", "abc", "é", "१२३४५६", "1" * 40, "-1", "1e5"])
    def test_refuses_a_wrong_code(self, world: World, otp: str) -> None:
        enrol(world.sam)
        Authenticator.objects.update(secret="00" * 20)
        assert assert_error(log_in(otp)) == {"otp": ["wrong"]}

    def test_slows_down_who_guesses(self, world: World, settings: Any) -> None:
        settings.OTP_THROTTLE_S = 60
        device, _ = enrol(world.sam)
        wrong = code_of(device, 1000)
        assert log_in(wrong).status_code == 401
        response = log_in(code_of(device))  # at once: not even looked at
        assert response.status_code == 429
        assert 0 < int(response.headers["Retry-After"]) <= 60
        assert_error(response)
        for _ in range(4):
            let_time_pass()
            assert log_in(wrong).status_code == 401
        assert 480 < int(log_in(wrong).headers["Retry-After"]) <= 960
        let_time_pass()
        assert log_in(code_of(device)).status_code == 200
        assert Authenticator.objects.get().throttling_failure_count == 0

    def test_does_not_count_guessed_codes_against_the_address(self, world: World, settings: Any) -> None:
        settings.AXES_LIMITS = {"ip_address": 2, "username": 2}
        device, _ = enrol(world.sam)
        for _ in range(4):
            let_time_pass()
            assert log_in(code_of(device, 1000)).status_code == 401
        let_time_pass()
        assert log_in(code_of(device)).status_code == 200

    @pytest.mark.django_db(transaction=True)
    def test_takes_a_code_once_of_many_at_once(self, world: World) -> None:
        device, codes = enrol(world.sam)
        for code in (code_of(device), codes[0]):
            statuses = at_once(*[lambda code=code: log_in(code).status_code] * 4)
            assert statuses.count(200) == 1


class TestRecoveryCodes:
    def test_let_in_once_each(self, world: World, settings: Any) -> None:
        settings.OTP_STATIC_THROTTLE_FACTOR = 60
        _, codes = enrol(world.sam)
        assert len(set(codes)) == 10
        assert log_in(codes[3]).status_code == 200
        assert log_in(codes[4].upper().replace("-", " ")).status_code == 200
        assert log_in(codes[3]).status_code == 401
        assert log_in(codes[5]).status_code == 429  # after a failure, not at once
        assert second_factor.codes_left(world.sam) == 8
        assert Event.objects.filter(action="recovery_code_used").count() == 2

    def test_do_not_slow_the_authenticator_down(self, world: World) -> None:
        device, _ = enrol(world.sam)
        assert log_in("aaaa-bbbb-cccc-dddd").status_code == 401
        assert log_in(code_of(device)).status_code == 200

    def test_let_in_whose_authenticator_no_key_opens(self, world: World, settings: Any) -> None:
        device, codes = enrol(world.sam)
        code = code_of(device)
        settings.GAMER_KEYS = [Fernet.generate_key().decode()]
        refused = log_in(code)
        assert refused.status_code == 503
        assert_error(refused)
        assert "recovery code" in refused.json()["detail"]
        assert log_in(codes[0]).status_code == 200

    def test_are_of_one_person(self, world: World) -> None:
        enrol(world.sam)
        _, others = enrol(UserFactory(is_staff=True))
        assert log_in(others[0]).status_code == 401

    def test_are_replaced_whole(self, world: World) -> None:
        _, old = enrol(world.sam)
        new = second_factor.renew_codes(user=world.sam, now=timezone.now())
        assert not set(old) & set(new)
        assert log_in(new[0]).status_code == 200
        assert log_in(old[0]).status_code == 401

    def test_are_kept_as_hashes(self, world: World) -> None:
        _, codes = enrol(world.sam)
        kept = set(StaticToken.objects.values_list("token", flat=True))
        assert not kept & {form for code in codes for form in (code, code.replace("-", ""))}


class TestEnrolment:
    def test_is_on_with_the_first_code_only(self, world: World) -> None:
        device = second_factor.begin(user=world.sam)
        assert log_in().status_code == 200
        again = second_factor.begin(user=world.sam)
        assert again.secret.reveal() != device.secret.reveal()
        assert not second_factor.is_on(world.sam)

    def test_keeps_the_secret_sealed(self, world: World) -> None:
        device, _ = enrol(world.sam)
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM accounts_authenticator")
            (kept,) = cursor.fetchone()
        assert device.secret.reveal() not in kept
        assert device.secret.reveal() not in str(vars(device))

    def test_is_not_begun_over_one_that_is_on(self, world: World) -> None:
        enrol(world.sam)
        with pytest.raises(InvalidState):
            second_factor.begin(user=world.sam)

    def test_ends_the_logins_that_were_asked_for_none(self, world: World) -> None:
        pair = logins.begin(user=world.sam, now=timezone.now())
        enrol(world.sam)
        with pytest.raises(NotAuthenticated):
            logins.login_of(pair.access, timezone.now())

    def test_is_ended_by_the_person_or_by_staff_above(self, world: World) -> None:
        enrol(world.sam)
        helper = UserFactory(is_staff=True)
        for by in (Principal(user=world.alice), Principal(user=helper)):
            with pytest.raises(PermissionDenied):
                second_factor.remove(by=by, user=world.sam, now=timezone.now())
        assert second_factor.remove(by=Principal(user=world.sam), user=world.sam, now=timezone.now())
        assert not second_factor.remove(by=Principal(user=world.sam), user=world.sam, now=timezone.now())
        assert log_in().status_code == 200
        assert not StaticToken.objects.exists()
        assert [one.action for one in Event.objects.order_by("id")][:2] == [
            "second_factor_on",
            "second_factor_off",
        ]


class TestAdminLogin:
    def step(self, client: Client, **form: str) -> Any:
        return client.post("/admin/login/?next=/admin/", form)

    def test_asks_in_a_second_step_that_holds_no_password(self, world: World, client: Client) -> None:
        device, _ = enrol(world.sam)
        page = self.step(client, username="sam@gamer.test", password=PASSWORD)
        text = page.content.decode()
        assert page.status_code == 200
        assert "asks for a one-time code" in text
        assert PASSWORD not in text
        assert client.get("/admin/").status_code == 302
        (proof,) = re.findall(r'name="proof" value="([^"]+)"', text)
        wrong = self.step(client, proof=proof, otp=code_of(device, 1000))
        assert "The one-time code is wrong" in wrong.content.decode()
        let_time_pass()
        assert self.step(client, proof=proof, otp=code_of(device)).status_code == 302
        assert client.get("/admin/").status_code == 200

    def test_trusts_no_proof_but_its_own(self, world: World, client: Client) -> None:
        device, _ = enrol(world.sam)
        proofs = re.findall(
            r'name="proof" value="([^"]+)"',
            self.step(client, username="sam@gamer.test", password=PASSWORD).content.decode(),
        )
        logins.end_all(user=User.objects.get(pk=world.sam.pk))  # what it was made under has changed
        for proof in ("x", "a:b:c", proofs[0], proofs[0] + "x"):
            assert self.step(client, proof=proof, otp=code_of(device)).status_code == 200
            assert client.get("/admin/").status_code == 302

    def test_does_not_let_the_suspended_finish(self, world: World, client: Client) -> None:
        device, _ = enrol(world.sam)
        text = self.step(client, username="sam@gamer.test", password=PASSWORD).content.decode()
        (proof,) = re.findall(r'name="proof" value="([^"]+)"', text)
        User.objects.filter(pk=world.sam.pk).update(is_active=False)
        assert self.step(client, proof=proof, otp=code_of(device)).status_code == 200
        assert client.get("/admin/").status_code == 302


class TestOwnPage:
    @pytest.fixture
    def browser(self, world: World) -> Client:
        return client_for(world.sam)

    def test_is_for_staff(self, world: World, client: Client) -> None:
        client.force_login(world.alice)
        assert client.get(OWN).status_code == 302

    def test_is_for_staff_without_any_permission(self, client: Client) -> None:
        user = UserFactory(is_staff=True)
        client.force_login(user)
        assert client.get(OWN).status_code == 200
        assert not user.user_permissions.exists()

    def test_is_under_the_name_of_who_is_signed_in(self, browser: Client) -> None:
        assert f'href="{OWN}"' in browser.get("/admin/").content.decode()

    def test_sets_up_and_shows_the_codes_once(self, world: World, browser: Client) -> None:
        other = Client()
        other.force_login(world.sam)
        refused = browser.post(OWN, {"act": "begin", "password": "wrong"})
        assert "This is not your password" in refused.content.decode()
        assert second_factor.pending(world.sam) is None
        browser.post(OWN, {"act": "begin", "password": PASSWORD})
        device = second_factor.pending(world.sam)
        assert device is not None
        page = browser.get(OWN).content.decode()
        assert 'src="data:image/svg+xml;base64,' in page
        assert device.typed in page
        wrong = browser.post(OWN, {"act": "confirm", "code": code_of(device, 1000)})
        assert "not the code of this moment" in wrong.content.decode()
        waits = browser.post(OWN, {"act": "confirm", "code": code_of(device)}, follow=True)
        assert "Too many wrong codes; try again in" in waits.content.decode()
        let_time_pass()
        code = code_of(device)
        shown = browser.post(OWN, {"act": "confirm", "code": f"{code[:3]} {code[3:]}"})  # as apps show it
        codes = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", shown.content.decode())
        assert len(codes) == 10
        assert "no-store" in shown.headers["Cache-Control"]
        assert browser.get(OWN).status_code == 200
        assert other.get("/admin/").status_code == 302
        again = browser.get(OWN).content.decode()
        assert not any(code in again for code in codes)
        assert device.typed not in again
        assert "10 recovery codes left" in again

    def test_renews_and_removes_for_who_knows_the_password(self, world: World) -> None:
        enrol(world.sam)
        browser = Client()
        browser.force_login(User.objects.get(pk=world.sam.pk))
        for act in ("renew", "remove"):
            assert "not your password" in browser.post(OWN, {"act": act, "password": "x"}).content.decode()
        assert second_factor.is_on(world.sam)
        renewed = browser.post(OWN, {"act": "renew", "password": PASSWORD}).content.decode()
        assert len(re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", renewed)) == 10
        assert browser.post(OWN, {"act": "remove", "password": PASSWORD}).status_code == 302
        assert not second_factor.is_on(world.sam)

    @pytest.mark.parametrize("act", ["", "nonsense", "confirm", "renew"])
    def test_answers_what_makes_no_sense(self, browser: Client, act: str) -> None:
        answer = browser.post(OWN, {"act": act, "password": PASSWORD, "code": "123456"}, follow=True)
        assert answer.status_code == 200

    def test_counts_with_the_failed_logins(self, browser: Client, settings: Any) -> None:
        settings.AXES_LIMITS = {"ip_address": 100, "username": 1}
        browser.post(OWN, {"act": "begin", "password": "wrong"})
        locked = browser.post(OWN, {"act": "begin", "password": PASSWORD})
        assert "Too many failed logins" in locked.content.decode()


class TestStaff:
    def test_remove_it_for_who_lost_everything(self, world: World, client: Client) -> None:
        helper = UserFactory(is_staff=True)
        helper.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
        other = UserFactory(is_staff=True)
        enrol(world.sam)
        enrol(other)
        client.force_login(helper)
        chosen = [world.sam.pk, other.pk]
        posted = {"action": "remove_second_factor", "_selected_action": chosen}
        asked = client.post("/admin/accounts/user/", posted)
        assert [one.pk for one in asked.context["chosen"]] == [other.pk]
        assert "1 of the chosen cannot be changed here and will stay as it is." in asked.content.decode()
        assert second_factor.is_on(other)
        client.post("/admin/accounts/user/", {**posted, "confirmed": "yes"})
        assert second_factor.is_on(world.sam)  # an administrator's is an administrator's to remove
        assert not second_factor.is_on(other)


class TestCommand:
    def run(self, address: str) -> str:
        out = StringIO()
        call_command("remove_second_factor", address, stdout=out)
        return out.getvalue()

    def test_lets_the_only_administrator_in_who_lost_everything(self, world: World) -> None:
        enrol(world.sam)
        assert log_in().status_code == 401
        assert "logs in with the password only" in self.run("Sam@gamer.test")
        assert log_in().status_code == 200
        event = Event.objects.get(action="second_factor_off")
        assert (event.actor, event.resource_id) == ("command:remove_second_factor", world.sam.handle)

    def test_says_when_there_was_none_and_who_is_nobody(self, world: World) -> None:
        assert "had no authenticator" in self.run("sam@gamer.test")
        with pytest.raises(CommandError, match="Nobody has the address nobody@x"):
            self.run("nobody@x")
