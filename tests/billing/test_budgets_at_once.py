"""Budgets are changed and deleted while a look writes about them: real transactions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from billing.budgets import rows, watch
from billing.models import Budget, BudgetCrossing
from events.models import Delivery, Event, Webhook
from tests.at_once import at_once, met
from tests.billing.test_budgets import OURS, budget, crossed
from tests.billing.usage import at, of, used
from tests.waiting import eventually, is_somebody_waiting
from tests.world import NOON, World

pytestmark = pytest.mark.django_db(transaction=True)


def spend(world: World) -> None:
    """Most of a budget."""
    used(of(world.alice), at("2026-06-15 08:00"), at("2026-06-15 09:00"), cost="9")


def after_a_look(call: Callable[[], object]) -> None:
    """The call begins when a look has crossed a budget, and waits for its end."""

    def one() -> None:
        try:
            call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert len(watch.evaluate(NOON)) == 1
            called = pool.submit(one)
            eventually(lambda: called.done() or is_somebody_waiting())
        called.result(30)


def test_tells_a_crossing_once_from_many_processes(world: World) -> None:
    one = budget(emails=["ops@gamer.test"])
    spend(world)
    found = at_once(*[lambda: len(watch.evaluate(NOON))] * 4)
    assert sorted(found) == [0, 0, 0, 1]
    assert crossed(budget=one) == [80]
    assert Delivery.objects.count() == 1
    assert Event.objects.filter(action="budget_crossed").count() == 1


def test_changes_a_budget_while_a_look_crosses_it(world: World) -> None:
    one = budget()
    spend(world)
    after_a_look(lambda: rows.change(by=OURS, budget=one, name="Fun", now=NOON))
    one.refresh_from_db()
    assert (one.name, crossed(budget=one)) == ("Fun", [80])


@pytest.mark.parametrize("url", ["", "https://hooks.example.test/other"])
def test_changes_whom_a_look_has_just_written_to(world: World, url: str) -> None:
    one = budget(webhook_url="https://hooks.example.test/spend")
    spend(world)
    after_a_look(lambda: rows.change(by=OURS, budget=one, webhook_url=url, now=NOON))
    assert [webhook.url for webhook in Webhook.objects.all()] == [url] * bool(url)


def test_deletes_a_budget_while_a_look_crosses_it(world: World) -> None:
    one = budget(webhook_url="https://hooks.example.test/spend")
    spend(world)
    after_a_look(lambda: rows.delete(by=OURS, budget=one, now=NOON))
    assert [model.objects.count() for model in (Budget, BudgetCrossing, Webhook)] == [0, 0, 0]


def test_deletes_a_budget_while_a_look_lifts_what_it_crossed(world: World) -> None:
    one = budget()
    spend(world)
    watch.evaluate(NOON)
    Budget.objects.update(limit_usd=100)
    met(lambda: rows.delete(by=OURS, budget=one, now=NOON), one, BudgetCrossing.objects.get())
    assert not Budget.objects.exists()


def test_looks_at_the_others_while_one_is_deleted(world: World) -> None:
    one, other = budget(), budget()
    spend(world)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        rows.delete(by=OURS, budget=one, now=NOON)
        looked = pool.submit(at_once, lambda: [crossing.budget for crossing in watch.evaluate(NOON)])
        eventually(looked.done)
    assert looked.result() == [[other]]
    assert crossed() == [80]
