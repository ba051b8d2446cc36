"""An account whose orders fail one after the other comes after the others, and comes back by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.vms.control_plane import ControlPlane
from tests.vms.shelves import DALLAS, SIZES, Row, profile, stock
from tests.world import Clock, World
from vms.models import ProviderAccount
from vms.offers import DEMOTED_AT_MOST, DEMOTED_FOR, DEMOTING_FAILURES, demoted_until
from vms.placement import Wish, rank
from vms.providers.memory import Fault, MemoryCloud


class TestDemotion:
    @pytest.mark.parametrize(
        ("failures", "length"),
        [
            (0, None),
            (DEMOTING_FAILURES - 1, None),
            (DEMOTING_FAILURES, DEMOTED_FOR),
            (DEMOTING_FAILURES + 1, 2 * DEMOTED_FOR),
            (DEMOTING_FAILURES + 1000, DEMOTED_AT_MOST),
        ],
    )
    def test_lasts_longer_the_more_orders_failed_and_ends(
        self, clock: Clock, failures: int, length: timedelta | None
    ) -> None:
        account = ProviderAccount(orders_failed_in_a_row=failures, order_failed_at=clock())
        until = demoted_until(account, clock())
        assert until == (None if length is None else clock() + length)
        assert until is None or demoted_until(account, until) is None

    def test_puts_offers_last_and_turns_none_down(self) -> None:
        sold = stock(Row(usd=0.1, demoted=True), Row(usd=5))
        assert rank(sold, Wish(profile(), *DALLAS), SIZES).order.tolist() == [1, 0]
        alone = stock(Row(usd=0.1, demoted=True))
        assert rank(alone, Wish(profile(), *DALLAS), SIZES).order.tolist() == [0]


class TestOrders:
    def test_that_fail_demote_their_account_and_one_that_comes_brings_it_back(
        self, plane: ControlPlane, world: World
    ) -> None:
        broken = ProviderAccount.objects.get(name="memory")
        good = plane.add_account("other", MemoryCloud(boot_s=5))
        cloud = plane.clouds[broken.pk]
        fault = cloud.switch_on(Fault.NEVER_RUNS, times=None)
        ProviderAccount.objects.filter(pk=good.pk).update(is_paused=True)
        plane.launch(owner=world.alice)
        plane.settle(seconds=2400, step=30)
        broken.refresh_from_db()
        assert broken.orders_failed_in_a_row >= DEMOTING_FAILURES
        assert demoted_until(broken, plane.clock()) is not None
        ProviderAccount.objects.filter(pk=good.pk).update(is_paused=False)
        vm = plane.until(plane.launch(owner=world.bob), "running")
        assert vm.attempts.count() == 1
        assert vm.attempt.account_id == good.pk
        cloud.switch_off(fault)
        plane.clock.advance(seconds=DEMOTED_AT_MOST.total_seconds())
        plane.settle(seconds=120, step=10)
        ProviderAccount.objects.filter(pk=good.pk).update(is_paused=True)
        plane.until(plane.launch(owner=world.charlie), "running")
        broken.refresh_from_db()
        assert (broken.orders_failed_in_a_row, broken.order_failed_at) == (0, None)
