from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import Token

from accounts import lockout, logins
from accounts.models import Login, User
from events.models import Event
from gamer.errors import NotAuthenticated, RateLimited
from tests.accounts.hashing import count_hashes
from tests.at_once import at_once
from tests.bad_inputs import assert_error, sweep_bodies
from tests.factories import UserFactory
from tests.world import PASSWORD, Clock, World

pytestmark = pytest.mark.django_db


def with_token(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def status(token: str) -> int:
    """401 for a token that is not good; 403 says who it is and that they are no staff."""
    return int(with_token(token).get("/health?full=1").status_code)


def signed(kind: type[Token], **claims: Any) -> str:
    token = kind()
    for name, value in claims.items():
        token[name] = value
    return str(token)


class TestLogin:
    def test_answers_tokens_and_the_person(self, world: World, anyone: APIClient) -> None:
        response = anyone.post("/auth/login", {"email": "alice@gamer.test", "password": PASSWORD})
        assert response.status_code == 200
        body = response.json()
        assert set(body) == {"access", "refresh", "user"}
        assert body["user"] == {
            "user_id": "alice@gamer.test",
            "email": "alice@gamer.test",
            "first_name": "Alice",
            "last_name": "",
            "role": "player",
        }
        assert response.headers["Cache-Control"] == "no-store"
        assert status(body["access"]) == 403
        assert status(body["refresh"]) == 401

    def test_says_who_is_staff(self, world: World, anyone: APIClient) -> None:
        body = anyone.post("/auth/login/", {"email": " SAM@gamer.test", "password": PASSWORD}).json()
        assert body["user"]["role"] == "staff"

    def test_is_noted(self, world: World, anyone: APIClient) -> None:
        anyone.post("/auth/login", {"email": "alice@gamer.test", "password": PASSWORD})
        assert User.objects.get(pk=world.alice.pk).last_login is not None
        event = Event.objects.get()
        assert (event.actor, event.action, event.resource_id) == (
            "user:alice@gamer.test", "login", "alice@gamer.test",
        )  # fmt: skip

    def test_asks_the_database_as_much_whoever_it_is(
        self, world: World, anyone: APIClient, django_assert_num_queries: Any
    ) -> None:
        with CaptureQueriesContext(connection) as known:
            anyone.post("/auth/login", {"email": "alice@gamer.test", "password": "wrong"})
        with django_assert_num_queries(len(known)):
            anyone.post("/auth/login", {"email": "nobody@gamer.test", "password": "wrong"})

    def test_reveals_nothing(self, world: World, anyone: APIClient) -> None:
        UserFactory(email="gone@gamer.test", is_active=False)
        UserFactory(email="service@gamer.test", password="!unusable")
        answers = set()
        for email, password in (
            ("alice@gamer.test", "wrong"),
            ("nobody@gamer.test", PASSWORD),
            ("gone@gamer.test", PASSWORD),
            ("service@gamer.test", "!unusable"),
            ("no address", "x"),
        ):
            response = anyone.post("/auth/login", {"email": email, "password": password})
            assert_error(response)
            answers.add((response.status_code, response.content, response.headers["WWW-Authenticate"]))
        assert {answer[0] for answer in answers} == {401}
        assert len(answers) == 1

    @pytest.mark.parametrize(
        "email", ["alice@gamer.test", "nobody@gamer.test", "gone@gamer.test", "service@gamer.test"]
    )
    def test_hashes_once_whoever_it_is(
        self, world: World, anyone: APIClient, monkeypatch: pytest.MonkeyPatch, email: str
    ) -> None:
        """Equal timing, by what takes the time."""
        UserFactory(email="gone@gamer.test", is_active=False)
        UserFactory(email="service@gamer.test", password="!unusable")
        hashed = count_hashes(monkeypatch)
        anyone.post("/auth/login", {"email": email, "password": "wrong"})
        assert len(hashed) == 1

    def test_refuses_every_broken_body_by_name(self, world: World, anyone: APIClient) -> None:
        right = {"email": "alice@gamer.test", "password": PASSWORD}
        assert sweep_bodies(anyone, "/auth/login", right) > 50


class TestLockOut:
    @pytest.fixture(autouse=True)
    def _few(self, settings: Any) -> None:
        settings.AXES_LIMITS = {"username": 3, "ip_address": 5}

    def fail(self, email: str, ip: str, clock: Clock) -> None:
        with pytest.raises(NotAuthenticated):
            logins.log_in(email=email, password="wrong", ip=ip, now=clock.now)

    def test_comes_after_repeated_failures_for_an_address(self, world: World, clock: Clock) -> None:
        for number in range(3):
            self.fail("alice@gamer.test", f"10.0.0.{number}", clock)
        with pytest.raises(RateLimited) as caught:
            logins.log_in(email="Alice@gamer.test", password=PASSWORD, ip="10.0.1.1", now=clock.now)
        assert caught.value.retry_after == 3601
        later = clock.advance(seconds=3601)
        assert logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.1.1", now=later)

    def test_comes_for_unknown_addresses_too(self, world: World, clock: Clock) -> None:
        for number in range(3):
            self.fail("nobody@gamer.test", f"10.0.0.{number}", clock)
        with pytest.raises(RateLimited):
            logins.log_in(email="nobody@gamer.test", password="wrong", ip="10.0.1.1", now=clock.now)

    def test_comes_after_repeated_failures_from_one_place(self, world: World, clock: Clock) -> None:
        for number in range(5):
            self.fail(f"player{number}@gamer.test", "10.0.0.1", clock)
        with pytest.raises(RateLimited):
            logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.0.1", now=clock.now)

    def test_does_not_let_a_locked_out_place_lock_others_out(self, world: World, clock: Clock) -> None:
        for number in range(5):
            self.fail(f"player{number}@gamer.test", "10.0.0.1", clock)
        for _ in range(5):
            with pytest.raises(RateLimited):
                logins.log_in(email="alice@gamer.test", password="wrong", ip="10.0.0.1", now=clock.now)
        assert logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.0.2", now=clock.now)

    def test_is_not_drawn_out_by_further_tries(self, world: World, clock: Clock) -> None:
        for number in range(3):
            self.fail("alice@gamer.test", f"10.0.0.{number}", clock)
        for _ in range(5):
            with pytest.raises(RateLimited):
                logins.log_in(
                    email="alice@gamer.test", password="wrong", ip="10.0.1.1", now=clock.advance(minutes=10)
                )
        later = clock.advance(seconds=601)
        assert logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.1.1", now=later)

    def test_hashes_nothing_any_more(
        self, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            self.fail("alice@gamer.test", f"10.0.0.{number}", clock)
        hashed = count_hashes(monkeypatch)
        with pytest.raises(RateLimited):
            logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.1.1", now=clock.now)
        assert hashed == []

    def test_takes_the_network_of_an_ipv6_address_for_one_place(self, world: World, clock: Clock) -> None:
        for number in range(5):
            self.fail(f"player{number}@gamer.test", f"2001:db8:1:2::{number + 1}", clock)
        with pytest.raises(RateLimited):
            logins.log_in(
                email="alice@gamer.test", password=PASSWORD, ip="2001:db8:1:2:ffff::1", now=clock.now
            )
        assert logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="2001:db8:1:3::1", now=clock.now)

    @pytest.mark.parametrize("ip", ["unknown", "", "not an address", "10.0.0.1:80"])
    def test_counts_callers_without_an_address_too(self, world: World, clock: Clock, ip: str) -> None:
        for number in range(5):
            self.fail(f"player{number}@gamer.test", ip, clock)
        with pytest.raises(RateLimited):
            logins.log_in(email="alice@gamer.test", password=PASSWORD, ip=ip, now=clock.now)

    def test_forgets_the_owners_slips_and_no_others_guesses(self, world: World, clock: Clock) -> None:
        for _ in range(2):
            self.fail("alice@gamer.test", "10.0.0.1", clock)
            logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.0.1", now=clock.now)
        for number in range(2):
            self.fail("alice@gamer.test", f"10.0.9.{number}", clock)
        logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.0.1", now=clock.now)
        self.fail("alice@gamer.test", "10.0.9.3", clock)
        with pytest.raises(RateLimited):
            logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.0.1", now=clock.now)

    def test_is_not_lifted_for_a_place_by_an_account_of_its_own(self, world: World, clock: Clock) -> None:
        for number in range(4):
            self.fail(f"player{number}@gamer.test", "10.0.0.1", clock)
        logins.log_in(email="charlie@gamer.test", password=PASSWORD, ip="10.0.0.1", now=clock.now)
        self.fail("alice@gamer.test", "10.0.0.1", clock)
        with pytest.raises(RateLimited):
            logins.log_in(email="bob@gamer.test", password="wrong", ip="10.0.0.1", now=clock.now)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("spread", [False, True])
    def test_counts_guesses_at_the_same_moment(self, world: World, clock: Clock, spread: bool) -> None:
        def guess(number: int) -> logins.Tokens:
            ip = f"10.0.0.{number}" if spread else "10.0.0.1"
            return logins.log_in(email="alice@gamer.test", password="wrong", ip=ip, now=clock.now)

        results = at_once(*[partial(guess, number) for number in range(10)])
        looked_at = [one for one in results if isinstance(one, NotAuthenticated)]
        refused = [one for one in results if isinstance(one, RateLimited)]
        assert len(looked_at) <= 3
        assert len(looked_at) + len(refused) == 10

    def test_is_swept_when_it_is_over(self, world: World, clock: Clock) -> None:
        self.fail("alice@gamer.test", "10.0.0.1", clock)
        assert lockout.sweep(clock.advance(minutes=59)) == 0
        assert lockout.sweep(clock.advance(minutes=2)) == 1

    def test_believes_the_proxys_word_for_where_somebody_is(
        self, world: World, anyone: APIClient, settings: Any
    ) -> None:
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
        for number in range(5):
            body = {"email": f"player{number}@gamer.test", "password": "wrong"}
            anyone.post("/auth/login", body, HTTP_X_FORWARDED_FOR=f"10.9.9.{number}, 10.0.0.1")
        body = {"email": "alice@gamer.test", "password": PASSWORD}
        locked = anyone.post("/auth/login", body, HTTP_X_FORWARDED_FOR="10.9.9.9, 10.0.0.1")
        assert locked.status_code == 429
        assert anyone.post("/auth/login", body, HTTP_X_FORWARDED_FOR="10.0.0.2").status_code == 200

    def test_is_not_brought_nearer_by_the_right_password(self, world: World, clock: Clock) -> None:
        for _ in range(8):
            logins.log_in(email="alice@gamer.test", password=PASSWORD, ip="10.0.0.1", now=clock.now)

    def test_is_a_429_that_says_when_to_come_back(self, world: World, anyone: APIClient) -> None:
        now = timezone.now()
        for number in range(3):
            with pytest.raises(NotAuthenticated):
                logins.log_in(email="alice@gamer.test", password="wrong", ip=f"10.0.0.{number}", now=now)
        response = anyone.post("/auth/login", {"email": "alice@gamer.test", "password": PASSWORD})
        assert response.status_code == 429
        assert_error(response)
        assert 0 < int(response.headers["Retry-After"]) <= 3601


class TestRefresh:
    def test_answers_the_next_pair(self, world: World, anyone: APIClient) -> None:
        first = logins.begin(user=world.alice, now=timezone.now())
        response = anyone.post("/auth/refresh", {"refresh": first.refresh})
        assert response.status_code == 200
        assert set(response.json()) == {"access", "refresh"}
        assert status(response.json()["access"]) == 403
        assert anyone.post("/auth/refresh/", {"refresh": response.json()["refresh"]}).status_code == 200

    def test_ends_the_family_when_a_token_comes_twice(self, world: World, anyone: APIClient) -> None:
        first = logins.begin(user=world.alice, now=timezone.now())
        second = anyone.post("/auth/refresh", {"refresh": first.refresh}).json()
        again = anyone.post("/auth/refresh", {"refresh": first.refresh})
        assert again.status_code == 401
        assert_error(again)
        assert anyone.post("/auth/refresh", {"refresh": second["refresh"]}).status_code == 401
        assert status(second["access"]) == status(first.access) == 401

    def test_leaves_other_logins_alone(self, world: World, anyone: APIClient) -> None:
        first, other = (logins.begin(user=world.alice, now=timezone.now()) for _ in range(2))
        for _ in range(2):
            anyone.post("/auth/refresh", {"refresh": first.refresh})
        assert anyone.post("/auth/refresh", {"refresh": other.refresh}).status_code == 200

    def test_refuses_what_is_no_refresh_token_of_ours(self, world: World, anyone: APIClient) -> None:
        pair = logins.begin(user=world.alice, now=timezone.now())
        old = logins.begin(user=world.alice, now=timezone.now() - timedelta(days=31))
        for text in (
            "x",
            "a.b.c",
            pair.access,
            old.refresh,
            pair.refresh[:-2],
            signed(logins.Refresh),
            signed(logins.Refresh, login="x"),
            signed(logins.Refresh, login="0" * 32, jti="\x00"),
            signed(logins.Refresh, login=[1]),
        ):
            response = anyone.post("/auth/refresh", {"refresh": text})
            assert response.status_code == 401, text
            assert_error(response)

    def test_is_paced_by_the_login_and_of_a_place_by_its_failures(
        self, world: World, anyone: APIClient, settings: Any
    ) -> None:
        rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "write": "2/day"}
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}

        def codes(path: str, *tokens: str) -> list[int]:
            return [anyone.post(f"/auth/{path}", {"refresh": token}).status_code for token in tokens]

        assert codes("refresh", "x", "y", "z") == [401, 401, 429]
        assert codes("logout", "x") == [429]
        for _ in range(3):
            pair = logins.begin(user=world.alice, now=timezone.now())
            assert codes("logout", *[pair.refresh] * 3) == [204, 204, 429]
            assert codes("refresh", pair.refresh) == [429]
        assert codes("refresh", logins.begin(user=world.bob, now=timezone.now()).refresh) == [200]

    def test_refuses_every_broken_body_by_name(self, anyone: APIClient) -> None:
        assert sweep_bodies(anyone, "/auth/refresh", {"refresh": "x"}) > 30

    @pytest.mark.django_db(transaction=True)
    def test_is_good_for_one_of_many_at_once_and_then_for_none(self, world: World) -> None:
        first = logins.begin(user=world.alice, now=timezone.now())
        results = at_once(*[lambda: logins.refresh(token=first.refresh, ip="", now=timezone.now())] * 6)
        won = [result for result in results if isinstance(result, logins.Tokens)]
        assert len(won) == 1
        assert all(isinstance(result, NotAuthenticated) for result in results if result is not won[0])
        assert status(won[0].access) == 401


class TestEnd:
    @pytest.fixture
    def pair(self, world: World) -> logins.Tokens:
        return logins.begin(user=world.alice, now=timezone.now())

    def over(self, pair: logins.Tokens) -> bool:
        client = APIClient()
        refreshed = client.post("/auth/refresh", {"refresh": pair.refresh}).status_code
        return {status(pair.access), refreshed} == {401}

    def test_comes_with_suspension_at_once(self, world: World, pair: logins.Tokens) -> None:
        User.objects.filter(pk=world.alice.pk).update(is_active=False)
        assert self.over(pair)

    def test_comes_with_another_password_through_any_door(self, world: World, pair: logins.Tokens) -> None:
        world.alice.set_password("another long one")
        world.alice.save()
        assert self.over(pair)

    def test_comes_for_everything_at_once(self, world: World, pair: logins.Tokens) -> None:
        browser = APIClient()
        browser.force_login(world.sam)
        assert browser.get("/admin/").status_code == 200
        logins.end_all(user=world.sam)
        logins.end_all(user=world.alice)
        assert browser.get("/admin/").status_code == 302
        assert self.over(pair)

    def test_comes_for_everything_by_logout_all(
        self, world: World, anyone: APIClient, pair: logins.Tokens
    ) -> None:
        other = logins.begin(user=world.alice, now=timezone.now())
        assert with_token(other.access).post("/auth/logout-all").status_code == 204
        assert self.over(pair)
        assert self.over(other)
        assert Event.objects.get().action == "logout_all"
        world.alice.refresh_from_db()
        assert status(logins.begin(user=world.alice, now=timezone.now()).access) == 403

    def test_is_not_for_keys_to_ask(self, as_service: APIClient, as_admin_key: APIClient) -> None:
        for client in (as_service, as_admin_key):
            for path in ("/auth/logout-all", "/auth/password"):
                assert client.post(path, {}).status_code == 403

    def test_comes_with_logout_for_this_login_only(
        self, world: World, anyone: APIClient, pair: logins.Tokens
    ) -> None:
        other = logins.begin(user=world.alice, now=timezone.now())
        for _ in range(2):
            assert anyone.post("/auth/logout", {"refresh": pair.refresh}).status_code == 204
        assert self.over(pair)
        assert status(other.access) == 403
        assert [event.action for event in Event.objects.all()] == ["logout"]

    def test_comes_with_time(self, world: World) -> None:
        now = timezone.now()
        old = logins.begin(user=world.alice, now=now - timedelta(minutes=5))
        young = logins.begin(user=world.alice, now=now - timedelta(minutes=4))
        assert (status(old.access), status(young.access)) == (401, 403)

    def test_is_forgotten_a_day_after(self, world: World, pair: logins.Tokens) -> None:
        now = timezone.now()
        assert logins.sweep(now + timedelta(days=30, hours=23)) == 0
        assert logins.sweep(now + timedelta(days=31, hours=1)) == 1
        assert not Login.objects.exists()


class TestBearer:
    @pytest.mark.parametrize("token", ["", "x", "é", "a.b.c", "x" * 20_000])
    def test_is_refused_when_it_is_none_of_ours(self, token: str) -> None:
        response = with_token(token).get("/health?full=1")
        assert response.status_code == 401
        assert_error(response)

    def test_is_no_refusal_in_another_scheme(self, anyone: APIClient) -> None:
        response = anyone.get("/health?full=1", HTTP_AUTHORIZATION="Basic eDp5")
        assert response.status_code == 401
        assert response.json()["detail"] == "Authentication credentials were not provided."


class TestAdminSession:
    @pytest.fixture
    def browser(self) -> Any:
        return APIClient(enforce_csrf_checks=True)

    def test_signs_staff_in_to_the_api(self, world: World, browser: APIClient) -> None:
        browser.force_login(world.sam)
        assert browser.get("/health?full=1").status_code in (200, 503)

    def test_is_nobody_for_players(self, world: World, browser: APIClient) -> None:
        browser.force_login(world.alice)
        assert browser.get("/health?full=1").status_code == 401
