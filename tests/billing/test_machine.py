"""Any order of everything that may happen to money, against a model of a few lines; the laws are counted at the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.principal import command
from billing import rating
from billing.models import CreditAccount, Hold
from billing.services import accounts, credits, grants, holds, hours
from gamer.errors import InsufficientCredits
from tests.billing.metered import BOOTS, PLAYS, RESTS, D, State, Till, broken
from tests.world import NOON, World

MACHINES = st.sampled_from(["a", "b", "c"])
STATES = st.sampled_from([BOOTS, PLAYS, RESTS])
DOLLARS = st.decimals("0.01", "20", places=2)


class Window:
    """The model of a meter: since when it runs as it does, and whether somebody pays."""

    def __init__(self, since: datetime, state: State) -> None:
        self.since, self.state = since, state


class Money(RuleBasedStateMachine):
    """The clock goes back as well as on. What was charged is counted by hand, window by window, never hour by hour."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.now = NOON
        self.till = Till(world.alice, NOON)
        self.price = D("1.56")
        self.windows: dict[str, Window] = {}
        self.closed_until: dict[str, datetime] = {}
        self.balance = D("5")
        self.held: dict[UUID, Decimal] = {}
        self.gone: set[str] = set()

    def teardown(self) -> None:
        found = broken()
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)
        assert found == []

    @property
    def account(self) -> CreditAccount:
        return CreditAccount.objects.get(pk=self.till.account.pk)

    def _end(self, key: str) -> datetime:
        """Ends a window; its money is that of the whole window, however the hours cut it. When the next one begins."""
        window = self.windows.pop(key)
        end = max(self.now, window.since, self.closed_until.get(key, NOON - timedelta(days=99)))
        if window.state.is_charged:
            self.balance -= self._unposted(window, end, key)
        self.closed_until.pop(key, None)
        return end

    def _unposted(self, window: Window, end: datetime, key: str) -> Decimal:
        posted = max(window.since, self.closed_until.get(key, window.since))
        return rating.cost(self.price, window.since, posted, end)

    @rule(seconds=st.integers(-4000, 9000))
    def time_passes(self, seconds: int) -> None:
        self.now = max(self.now + timedelta(seconds=seconds), NOON)

    @rule(key=MACHINES, state=STATES)
    def a_machine_is(self, key: str, state: State) -> None:
        if key in self.gone:
            return
        self.till.follow(key, state, self.now)
        old = self.windows.get(key)
        if old is None:
            self.windows[key] = Window(self.now, state)
        elif old.state != state:
            self.windows[key] = Window(self._end(key), state)

    @precondition(lambda self: self.windows)
    @rule(key=MACHINES)
    def a_machine_is_gone(self, key: str) -> None:
        if key in self.windows:
            self.till.follow(key, None, self.now)
            self._end(key)
            self.gone.add(key)

    @rule()
    def hours_are_closed(self) -> None:
        hours.close_hours(self.now, batch=2)
        hour = self.now.replace(minute=0, second=0)
        for key, window in self.windows.items():
            if window.since < hour and self.closed_until.get(key, window.since) < hour:
                if window.state.is_charged:
                    self.balance -= self._unposted(window, hour, key)
                self.closed_until[key] = hour

    @rule(usd=DOLLARS, days=st.none() | st.integers(1, 3))
    def credit_is_given(self, usd: Decimal, days: int | None) -> None:
        until = None if days is None else self.now + timedelta(hours=days)
        for key in (uuid4().hex,) * 2:  # the second is a replay
            credits.change(
                by=command("test"), owner=self.till.user, usd=usd, reason="Test", now=self.now, expires_at=until, key=key,
            )  # fmt: skip
        self.balance += usd

    @rule(usd=DOLLARS)
    def credit_is_taken(self, usd: Decimal) -> None:
        is_free = self.balance - sum(self.held.values(), D("0")) >= usd
        try:
            credits.change(by=command("test"), owner=self.till.user, usd=-usd, reason="Test", now=self.now)
        except InsufficientCredits:
            assert not is_free
        else:
            assert is_free
            self.balance -= usd

    @rule()
    def credit_expires(self) -> None:
        before = self.account.balance_usd
        grants.expire(self.now)
        taken = before - self.account.balance_usd
        assert taken >= 0
        assert taken == 0 or self.account.balance_usd >= 0
        self.balance -= taken

    @rule(usd=DOLLARS)
    def a_launch_holds(self, usd: Decimal) -> None:
        vm, is_free = uuid4(), self.balance - sum(self.held.values(), D("0")) >= usd
        try:
            holds.put(vm=vm, account=self.till.account, usd_per_hour=usd, now=self.now)
        except InsufficientCredits:
            assert not is_free
        else:
            assert is_free
            self.held[vm] = usd

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_launch_ends(self, data: st.DataObject) -> None:
        vm = data.draw(st.sampled_from(sorted(self.held)))
        assert holds.release(vm)
        assert not holds.release(vm)
        del self.held[vm]

    @invariant()
    def the_books_are_the_models(self) -> None:
        account = self.account
        assert account.balance_usd == self.balance
        assert account.held_usd == sum(self.held.values(), D("0"))
        assert Hold.objects.count() == len(self.held)

    @invariant()
    def what_is_left_of_the_grants_is_the_balance(self) -> None:
        left = sum((lot.left for lot in grants.lots_of(self.account).values()), D("0"))
        assert left == max(self.balance, D("0"))


@pytest.mark.django_db
@pytest.mark.timeout(300)
def test_whatever_happens_the_books_are_right(world: World) -> None:
    accounts.account_of(world.alice, NOON)
    run_state_machine_as_test(
        lambda: Money(world),
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )  # fmt: skip
