"""One account, eight processes, two passes over the hours, deaths without warning: the books are right."""

from __future__ import annotations

import fcntl
from copy import copy
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from accounts.principal import command
from billing.models import Meter, Subject, UsageRecord
from billing.services import accounts, credits, holds, hours
from gamer.errors import InsufficientCredits
from tests import world as worlds
from tests.at_once import at_once
from tests.billing.customers import BEGIN, GATE
from tests.billing.metered import PLAYS, RESTS, D, Till, broken, records
from tests.billing.processes import clear_up, results, start
from tests.waiting import eventually
from tests.world import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]
LAUNCHES, CUSTOMERS = 25, 8


@pytest.fixture
def world(transactional_db: None) -> World:
    return worlds.build()


class TestEightProcesses:
    def test_on_one_account_count_every_second_once_whoever_dies(self, world: World, tmp_path: Path) -> None:
        """Each has its first launch, and one its death, before anybody goes on: later there may be no credit left for it."""
        till = Till(world.alice, BEGIN)
        credits.change(by=command("test"), owner=world.alice, usd=D("100"), reason="Test", now=BEGIN)
        account = till.account
        with (tmp_path / "gate").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            gated = {GATE: gate.name}
            customers = start("customer", account, LAUNCHES, *range(CUSTOMERS - 2), **gated)
            doomed = [
                start("customer", account, LAUNCHES, 90, GAMER_DIE_AT="customer.inside"),
                start("closer", account, 40, 91, GAMER_DIE_AT="hours.inside", **gated),
            ]
            closers = start("closer", account, 60, 70, 71, **gated)
            first = Subject.objects.filter(key__endswith="-0")
            eventually(lambda: first.count() == CUSTOMERS - 2 and doomed[0].poll() is not None, timeout_s=90)
        let_in = results([customers])
        assert len(let_in) == CUSTOMERS - 2
        assert all(count > 0 for count in let_in), let_in
        assert len(results([closers])) == 2
        assert results(doomed)[0] == -1
        assert broken() == []
        clear_up(account, BEGIN + timedelta(days=1))
        hours.close_hours(BEGIN + timedelta(days=1))
        account.refresh_from_db()
        charged = sum((one.charge_usd for one in UsageRecord.objects.all()), D("0"))
        assert (account.held_usd, Meter.objects.count()) == (0, 0)
        assert account.balance_usd == D("105") - charged
        assert charged > 0
        assert broken() == []

    def test_hold_no_more_at_once_than_there_is(self, world: World) -> None:
        """The welcome credit is an hour of three machines: eight ask, three are let in."""
        account = accounts.account_of(world.alice, BEGIN)

        def launch() -> bool:
            try:
                with transaction.atomic():
                    holds.put(vm=uuid4(), account=account, usd_per_hour=D("1.56"), now=BEGIN)
            except InsufficientCredits:
                return False
            return True

        answers = at_once(*[launch] * CUSTOMERS)
        assert sorted(map(str, answers)) == ["False"] * 5 + ["True"] * 3
        account.refresh_from_db()
        assert account.available_usd == D("0.32")
        assert broken() == []

    def test_that_look_at_an_account_first_open_it_once(self, world: World) -> None:
        opened = at_once(*[lambda: accounts.account_of(world.alice, BEGIN).balance_usd] * CUSTOMERS)
        assert opened == [D("5")] * CUSTOMERS
        assert broken() == []

    def test_with_the_same_posting_book_it_once(self, world: World) -> None:
        def give() -> Decimal:
            return credits.change(
                by=command("test"), owner=world.alice, usd=D("10"), reason="Test", now=BEGIN, key="one"
            ).balance_usd

        assert at_once(*[give] * CUSTOMERS) == [D("15")] * CUSTOMERS
        assert broken() == []


class TestTwoThatCloseTheSameInterval:
    def test_leave_it_once(self, world: World) -> None:
        """As the laws of the database alone have it: nobody locks a meter here."""
        till = Till(world.alice, BEGIN)
        till.follow("a", PLAYS, BEGIN)
        till.follow("a", RESTS, BEGIN + timedelta(minutes=30))
        (first,) = records("a")

        def following() -> int:
            row = copy(first)
            row.pk = None
            row.started_at, row.ended_at = first.ended_at, first.ended_at + timedelta(minutes=5)
            row.save(force_insert=True)
            return row.pk

        answers = at_once(*[following] * CUSTOMERS)
        assert [type(one) for one in answers].count(IntegrityError) == CUSTOMERS - 1
        assert len(records("a")) == 2
