from __future__ import annotations

from datetime import timedelta
from threading import Event as Signal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Department
from gamer.web import idempotency
from gamer.web.models import IdempotencyRecord
from tests.at_once import at_once
from tests.bad_inputs import assert_error
from tests.gamer.web import site
from tests.world import World, client_of

pytestmark = pytest.mark.django_db
PATH = "/test/once"


def post(client: APIClient, key: str | None, path: str = PATH, **body: Any) -> Any:
    return client.post(path, body, headers={} if key is None else {"Idempotency-Key": key})


class TestKey:
    def test_replays_the_answer_and_has_one_effect(self, as_alice: APIClient) -> None:
        first, second = (post(as_alice, "k1", name="Arcade 2") for _ in range(2))
        assert (first.status_code, first.content, first.headers["Location"]) == (
            second.status_code,
            second.content,
            second.headers["Location"],
        )
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
        assert Department.objects.filter(name="Arcade 2").count() == 1

    def test_may_be_left_out(self, as_alice: APIClient) -> None:
        post(as_alice, None, name="Arcade 2")
        assert not IdempotencyRecord.objects.exists()

    def test_is_the_same_request_with_other_spacing_and_slash(self, as_alice: APIClient) -> None:
        post(as_alice, "k1", name="Arcade 2", more=1)
        second = as_alice.generic(
            "POST",
            f"{PATH}/",
            b'{ "more": 1,  "name": "Arcade 2"}',
            content_type="application/json",
            headers={"Idempotency-Key": "k1"},
        )
        assert second.headers["Idempotent-Replayed"] == "true"

    @pytest.mark.parametrize(("path", "name"), [(PATH, "Other"), (f"{PATH}?a=1", "Arcade 2")])
    def test_is_in_conflict_with_another_request(self, as_alice: APIClient, path: str, name: str) -> None:
        post(as_alice, "k1", name="Arcade 2")
        response = post(as_alice, "k1", path, name=name)
        assert response.status_code == 409
        assert_error(response)

    def test_belongs_to_one_caller(self, as_alice: APIClient, as_bob: APIClient) -> None:
        post(as_alice, "k1", name="Arcade 2")
        assert post(as_bob, "k1", name="Arcade 3").status_code == 201

    @pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"])
    def test_is_refused_by_name_when_it_is_none(self, as_alice: APIClient, key: str) -> None:
        response = as_alice.post(PATH, {"name": "x"}, HTTP_IDEMPOTENCY_KEY=key)
        assert response.status_code == 400
        assert set(assert_error(response)) == {"Idempotency-Key"}

    @pytest.mark.parametrize("how", ["raise", "answer"])
    def test_stores_no_error_and_leaves_no_effect(self, as_alice: APIClient, how: str) -> None:
        assert post(as_alice, "k1", name="Arcade 2", fail=how).status_code == 503
        assert not Department.objects.filter(name="Arcade 2").exists()
        assert post(as_alice, "k1", name="Arcade 2").status_code == 201

    def test_is_good_again_after_a_day(self, as_alice: APIClient) -> None:
        post(as_alice, "k1", name="Arcade 2")
        IdempotencyRecord.objects.update(created_at=timezone.now() - idempotency.KEPT)
        assert post(as_alice, "k1", name="Arcade 3").status_code == 201
        assert "Idempotent-Replayed" in post(as_alice, "k1", name="Arcade 3").headers


class TestSweep:
    def test_forgets_answers_of_yesterday(self, as_alice: APIClient) -> None:
        post(as_alice, "k1", name="Arcade 2")
        now = timezone.now()
        assert idempotency.sweep(now + timedelta(hours=23)) == 0
        assert idempotency.sweep(now + timedelta(hours=25)) == 1


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_has_one_effect_and_one_answer(self, world: World) -> None:
        clients = [client_of(world.alice) for _ in range(6)]
        answers: list[Any] = at_once(
            *[lambda client=client: post(client, "k1", name="Arcade 2") for client in clients]
        )
        assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        assert Department.objects.filter(name="Arcade 2").count() == 1

    def test_lets_the_second_try_when_the_first_fails(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first holds the key until the second is at it, then fails."""
        inside, go_on = Signal(), Signal()
        make = site.OnceView.make

        def slow(view: Any, request: Any) -> Any:
            if request.data.get("fail"):
                inside.set()
                assert go_on.wait(30)
            return make(view, request)

        monkeypatch.setattr(site.OnceView, "make", slow)
        first, second, third = (client_of(world.alice) for _ in range(3))

        def fail() -> Any:
            return post(first, "k1", name="Arcade 2", fail="raise")

        def succeed() -> Any:
            assert inside.wait(30)
            go_on.set()
            return post(second, "k1", name="Arcade 2")

        failed, succeeded = at_once(fail, succeed)
        assert (failed.status_code, succeeded.status_code) == (503, 201)
        assert post(third, "k1", name="Arcade 2").headers["Idempotent-Replayed"] == "true"
