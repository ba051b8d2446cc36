from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from gamer.errors import RateLimited
from gamer.web import throttles
from gamer.web.models import Allowance
from gamer.web.throttles import Rate, demand, give_back, take
from tests.at_once import at_once
from tests.bad_inputs import assert_error
from tests.factories import ApiKeyFactory
from tests.world import Clock, World, client_of, client_with_key

pytestmark = pytest.mark.django_db
RATE = Rate(burst=3, period_s=30)


class TestTake:
    def test_gives_the_burst_at_once_and_then_makes_wait(self, clock: Clock) -> None:
        assert [take("a", RATE, now=clock.now) for _ in range(5)] == [0, 0, 0, 10, 10]

    def test_flows_back_evenly(self, clock: Clock) -> None:
        for _ in range(3):
            take("a", RATE, now=clock.now)
        assert take("a", RATE, now=clock.advance(seconds=9)) == 1
        assert take("a", RATE, now=clock.advance(seconds=1)) == 0
        assert take("a", RATE, now=clock.now) == 10
        clock.advance(seconds=60)
        assert [take("a", RATE, now=clock.now) for _ in range(4)] == [0, 0, 0, 10]

    def test_counts_callers_apart(self, clock: Clock) -> None:
        for _ in range(3):
            take("a", RATE, now=clock.now)
        assert take("b", RATE, now=clock.now) == 0

    def test_takes_names_of_any_length(self, clock: Clock) -> None:
        assert take("x" * 5000, RATE, now=clock.now) == 0

    def test_costs_one_query_while_there_is_some_left(
        self, clock: Clock, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(1):
            take("a", RATE, now=clock.now)

    def test_writes_no_log(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'gamer_web_allowance'")
            assert cursor.fetchone() == ("u",)

    @pytest.mark.django_db(transaction=True)
    def test_never_gives_more_than_the_burst_to_callers_at_once(self, clock: Clock) -> None:
        waits = at_once(*[lambda: take("a", RATE, now=clock.now)] * 8)
        assert sorted(map(bool, waits)) == [False] * 3 + [True] * 5


class TestGiveBack:
    def test_undoes_one(self, clock: Clock) -> None:
        for _ in range(3):
            take("a", RATE, now=clock.now)
        give_back("a", RATE)
        assert [take("a", RATE, now=clock.now) for _ in range(2)] == [0, 10]


class TestDemand:
    def test_says_how_long_to_wait(self, clock: Clock) -> None:
        for _ in range(3):
            demand("a", RATE, now=clock.now)
        with pytest.raises(RateLimited) as caught:
            demand("a", RATE, now=clock.now)
        assert caught.value.retry_after == 10


class TestSweep:
    def test_forgets_who_has_everything_back(self, clock: Clock) -> None:
        take("a", RATE, now=clock.now)
        take("b", RATE, now=clock.advance(seconds=5))
        assert throttles.sweep(clock.advance(seconds=6)) == 1
        assert [kept.name for kept in Allowance.objects.all()] == ["b"]


class TestWriteThrottle:
    @pytest.fixture(autouse=True)
    def _two_a_day(self, settings: Any) -> None:
        rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "write": "2/day"}
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}

    def test_answers_429_with_the_time_to_wait(self, as_alice: APIClient) -> None:
        statuses = [as_alice.post("/test/things", {}).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        response = as_alice.post("/test/things", {})
        assert assert_error(response) == {}
        assert (
            timedelta(hours=11)
            < timedelta(seconds=int(response.headers["Retry-After"]))
            <= timedelta(hours=12)
        )

    def test_counts_a_person_over_all_their_logins_and_leaves_others_alone(
        self, world: World, as_alice: APIClient, as_bob: APIClient
    ) -> None:
        for client in (as_alice, client_of(world.alice)):
            assert client.post("/test/things", {}).status_code == 200
        assert as_alice.post("/test/things", {}).status_code == 429
        assert as_bob.post("/test/things", {}).status_code == 200

    def test_counts_a_key_apart_from_its_maker(self, as_sam: APIClient, as_service: APIClient) -> None:
        for _ in range(2):
            as_service.post("/test/things", {})
        assert as_service.post("/test/things", {}).status_code == 429
        assert as_sam.post("/test/things", {}).status_code == 200

    def test_counts_a_players_keys_with_the_player(self, world: World, as_alice: APIClient) -> None:
        first, second = (client_with_key(ApiKeyFactory(maker=world.alice).secret) for _ in range(2))
        assert first.post("/test/things", {}).status_code == 200
        assert as_alice.post("/test/things", {}).status_code == 200
        for client in (first, second, as_alice):
            assert client.post("/test/things", {}).status_code == 429
        Allowance.objects.filter(name=f"write:user:{world.alice.pk}").delete()
        assert [first.post("/test/things", {}).status_code for _ in range(2)] == [200, 429]
        assert as_alice.post("/test/things", {}).status_code == 200  # nothing was paid for what was refused

    def test_lets_everybody_read(self, as_alice: APIClient) -> None:
        assert {as_alice.get("/test/things").status_code for _ in range(5)} == {200}

    def test_counts_strangers_by_address_and_believes_no_header(self, anyone: APIClient) -> None:
        statuses = [
            anyone.post(
                "/test/things", {}, REMOTE_ADDR=address, HTTP_X_FORWARDED_FOR=f"10.0.0.{number}"
            ).status_code
            for number, address in enumerate(["1.1.1.1", "1.1.1.1", "1.1.1.1", "2.2.2.2"])
        ]
        # Without credentials the view's throttle has nobody to count but the address.
        assert statuses == [200, 200, 429, 200]
