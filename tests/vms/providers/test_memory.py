"""The cloud without hardware keeps the seam's contract, and its books are exact."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import cached_property

import pytest

from tests.vms.providers import contract, contract_deaths, contract_machines
from tests.vms.providers.harness import LATE_S, LISTS_WITHOUT, RETRY_AFTER_S, Harness, Trouble
from tests.vms.providers.memory_over_a_socket import Served
from tests.vms.providers.specs import pick, spec, tag
from tests.waiting import eventually
from vms.providers.base import (
    Machine,
    MachineState,
    Need,
    NoCapacity,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from vms.providers.memory import STOCK, Fault, MemoryCloud, MemoryProvider, cloud

OFFER = pick(STOCK)


class MemoryHarness(Harness):
    # Nothing is secret here; no text may hold it all the same.
    secret = "canary-of-nobody"

    def __init__(self) -> None:
        self.cloud = MemoryCloud()

    def open(self) -> MemoryProvider:
        return MemoryProvider(self.cloud)

    def trouble(self, trouble: Trouble) -> None:
        on = self.cloud.switch_on
        match trouble:
            case Trouble.BAD_CREDENTIALS:
                on(Fault.BAD_CREDENTIALS, times=None)
            case Trouble.UNAVAILABLE:
                on(Fault.UNAVAILABLE, times=None, retry_after=RETRY_AFTER_S)
            case Trouble.BROKEN:
                on(Fault.LOST_UNMADE, times=None)
                on(
                    Fault.UNAVAILABLE,
                    verbs={"offers", "get", "list", "delete", "stop", "start", "balance"},
                    times=None,
                )
            case Trouble.LOST_LATE:
                on(Fault.LOST_LATE, seconds=LATE_S)
            case Trouble.HIDDEN:
                on(Fault.HIDDEN, lists=LISTS_WITHOUT)
            case Trouble.INCOMPLETE_LIST:
                on(Fault.INCOMPLETE_LIST, times=None)
            case Trouble.DELETE_FAILS:
                on(Fault.UNAVAILABLE, verbs={"delete"}, times=None)
            case Trouble.SLOW_DELETE:
                on(Fault.SLOW_DELETE, seconds=LATE_S)
            case Trouble.START_REFUSED:
                on(Fault.NO_CAPACITY, verbs={"start"})
            case _:
                on(Fault[trouble.name])

    @property
    def words(self) -> Mapping[str, str]:
        return {"kind": "memory", "address": self.served.address}

    @cached_property
    def served(self) -> Served:
        return Served(self.cloud)

    def hold(self, verb: str, moment: str) -> None:
        self.served.hold(verb, moment)

    def is_held(self, verb: str, caller: int) -> bool:
        return verb in self.served.in_the_middle

    def heal(self) -> None:
        self.cloud.heal()

    def advance(self, seconds: float = 1) -> None:
        if "served" in vars(self):
            self.served.release()
            eventually(lambda: not self.served.in_the_middle)
        self.cloud.advance(seconds)

    def alive(self) -> list[str]:
        return [record.machine.raw["name"] for record in self.cloud.alive()]

    def plant(self, name: str) -> None:
        self.cloud.plant(name)

    def stop_by_itself(self, machine_id: str) -> None:
        self.cloud.set_state(machine_id, MachineState.STOPPED)

    def vanish(self, machine_id: str) -> None:
        self.cloud.vanish(machine_id)


@pytest.fixture
def harness() -> Iterator[MemoryHarness]:
    made = MemoryHarness()
    yield made
    if "served" in vars(made):
        made.served.close()


class TestOffers(contract.OffersContract):
    pass


class TestSizes(contract.SizesContract):
    pass


class TestCreate(contract.CreateContract):
    pass


class TestLook(contract_machines.LookContract):
    pass


class TestDelete(contract_machines.DeleteContract):
    pass


class TestTrouble(contract_machines.TroubleContract):
    pass


class TestDeath(contract_deaths.DeathContract):
    pass


class TestSuspend(contract_machines.SuspendContract):
    pass


@pytest.fixture
def vendor() -> MemoryCloud:
    return MemoryCloud(boot_s=20, stop_s=5)


@pytest.fixture
def provider(vendor: MemoryCloud) -> MemoryProvider:
    return MemoryProvider(vendor)


class TestTime:
    def test_boots_when_it_is_due_and_not_before(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        vendor.advance(19.9)
        assert provider.get(machine_id).state is MachineState.PENDING
        vendor.advance(0.1)
        assert provider.get(machine_id).state is MachineState.RUNNING

    def test_a_late_landing_boots_from_its_own_moment(
        self, vendor: MemoryCloud, provider: MemoryProvider
    ) -> None:
        vendor.switch_on(Fault.LOST_LATE, seconds=60)
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(OFFER), tag())
        vendor.advance(79.9)
        (machine,) = provider.list()
        assert (machine.state, vendor.history[0].created_at) == (MachineState.PENDING, 60)
        vendor.advance(0.1)
        assert provider.get(machine.machine_id).state is MachineState.RUNNING

    def test_a_stop_overtakes_a_boot(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        provider.stop(machine_id)
        assert provider.get(machine_id).state is MachineState.STOPPING
        vendor.advance(100)
        assert provider.get(machine_id).state is MachineState.STOPPED

    def test_keeps_the_address_over_a_stop(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        vendor.advance(20)
        address = provider.get(machine_id).ip
        provider.stop(machine_id)
        vendor.advance(5)
        provider.start(machine_id)
        vendor.advance(20)
        assert provider.get(machine_id).ip == address != ""

    def test_can_be_a_clock_from_outside(self) -> None:
        seconds = 0.0
        vendor = MemoryCloud(boot_s=3, clock=lambda: seconds)
        machine_id = vendor.create(spec(OFFER), tag()).machine_id
        seconds = 3
        assert vendor.get(machine_id).state is MachineState.RUNNING


class TestBooks:
    def test_know_when_each_machine_lived(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.advance(10)
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        vendor.advance(30)
        vendor.switch_on(Fault.SLOW_DELETE, seconds=15)
        provider.delete(machine_id)
        vendor.advance(100)
        (record,) = vendor.history
        assert (record.created_at, record.delete_ordered_at, record.gone_at) == (10, 40, 55)
        assert (vendor.created_total, list(vendor.alive())) == (1, [])

    def test_count_the_most_machines_of_one_vm_at_a_time(
        self, vendor: MemoryCloud, provider: MemoryProvider
    ) -> None:
        for attempt in (1, 2):
            provider.delete(provider.create(spec(OFFER), tag(1, attempt=attempt)).machine_id)
        assert vendor.max_alive_per_vm == 1
        for attempt in (3, 4):
            provider.create(spec(OFFER), tag(1, attempt=attempt))
        assert (vendor.max_alive_per_vm, vendor.max_made_per_tag) == (2, 1)

    def test_show_an_attempt_that_was_ordered_twice(
        self, vendor: MemoryCloud, provider: MemoryProvider
    ) -> None:
        for _ in range(2):
            provider.delete(provider.create(spec(OFFER), tag()).machine_id)
        assert (vendor.max_made_per_tag, vendor.max_alive_per_vm) == (2, 1)

    def test_tell_installations_apart(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        provider.create(spec(OFFER), tag(installation="aaaaaaaa"))
        provider.create(spec(OFFER), tag(installation="bbbbbbbb"))
        assert [record.tag for record in vendor.alive("bbbbbbbb")] == [tag(installation="bbbbbbbb")]

    def test_count_calls_by_verb(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        provider.list()
        provider.list()
        with pytest.raises(NotFound):
            provider.get("missing")
        assert (vendor.calls["list"], vendor.calls["get"], vendor.calls["create"]) == (2, 1, 0)

    def test_hold_under_many_threads(self, provider: MemoryProvider, vendor: MemoryCloud) -> None:
        vendor.set_stock(OFFER.offer_id, 100)
        start = threading.Barrier(8)

        def churn(worker: int) -> None:
            start.wait()
            for number in range(50):
                made = provider.create(spec(OFFER), tag(worker * 100 + number))
                if number % 5:
                    provider.delete(made.machine_id)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(churn, range(8)))
        assert (vendor.created_total, len(vendor.alive()), len(provider.list())) == (400, 80, 80)
        assert len({record.machine_id for record in vendor.history}) == 400
        vendor.set_stock(OFFER.offer_id, 0)
        assert OFFER not in provider.offers(Need())


class TestStock:
    def test_ends_and_comes_back(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.set_stock(OFFER.offer_id, 1)
        machine_id = provider.create(spec(OFFER), tag(1)).machine_id
        assert OFFER not in provider.offers(Need())
        with pytest.raises(NoCapacity):
            provider.create(spec(OFFER), tag(2))
        provider.delete(machine_id)
        assert OFFER in provider.offers(Need())
        provider.create(spec(OFFER), tag(3))

    def test_without_the_offer_is_no_capacity(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.remove_offer(OFFER.offer_id)
        with pytest.raises(NoCapacity):
            provider.create(spec(OFFER), tag())

    def test_takes_new_offers(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.add_offer(replace(OFFER, offer_id="new"), stock=1)
        provider.create(spec(replace(OFFER, offer_id="new")), tag())
        assert "new" not in [each.offer_id for each in provider.offers(Need())]

    def test_sells_no_more_than_an_offer_has(self, provider: MemoryProvider) -> None:
        with pytest.raises(Rejected, match="vcpus=64"):
            provider.create(spec(OFFER, vcpus=64), tag())

    def test_releases_a_share_of_the_price_at_a_stop(self) -> None:
        provider = MemoryProvider(MemoryCloud(stopped_share=Decimal("0.25")))
        machine = Machine("m", "", MachineState.STOPPED, usd_per_hour=Decimal("0.4"))
        assert provider.stopped_usd_per_hour(machine) == Decimal("0.1")
        with pytest.raises(ValueError, match="price"):
            provider.stopped_usd_per_hour(replace(machine, usd_per_hour=None))


class TestFaults:
    def test_strike_as_often_as_told(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        switch = vendor.switch_on(Fault.UNAVAILABLE, verbs={"list"}, times=2)
        for _ in range(2):
            with pytest.raises(Unavailable):
                provider.list()
        assert (list(provider.list()), switch.hits) == ([], 2)

    def test_strike_for_a_time(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        vendor.switch_on(Fault.UNAVAILABLE, verbs={"delete"}, times=None, for_s=3600)
        vendor.advance(3599)
        with pytest.raises(Unavailable):
            provider.delete(machine_id)
        vendor.advance(1)
        provider.delete(machine_id)
        assert list(vendor.alive()) == []

    def test_match_an_offer(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.switch_on(Fault.NO_CAPACITY, times=None, offer_id=OFFER.offer_id)
        with pytest.raises(NoCapacity):
            provider.create(spec(OFFER), tag())
        provider.create(spec(pick(STOCK[1:])), tag())

    def test_match_the_beginning_of_a_tag(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.switch_on(Fault.NO_CAPACITY, times=None, tag=tag(1)[:-1])
        with pytest.raises(NoCapacity):
            provider.create(spec(OFFER), tag(1, attempt=3))
        provider.create(spec(OFFER), tag(2))

    def test_match_the_tag_of_the_machine_that_is_asked_about(
        self, vendor: MemoryCloud, provider: MemoryProvider
    ) -> None:
        one, two = (provider.create(spec(OFFER), tag(number)).machine_id for number in (1, 2))
        vendor.switch_on(Fault.UNAVAILABLE, verbs={"delete"}, times=None, tag=tag(1))
        provider.delete(two)
        with pytest.raises(Unavailable):
            provider.delete(one)

    def test_are_repeated_by_the_seed(self) -> None:
        def outcomes(seed: int) -> list[bool]:
            vendor = MemoryCloud(seed=seed)
            vendor.switch_on(Fault.NO_CAPACITY, times=None, probability=0.5)
            results = []
            for number in range(40):
                try:
                    vendor.create(spec(OFFER), tag(number))
                    results.append(True)
                except NoCapacity:
                    results.append(False)
            return results

        assert outcomes(1) == outcomes(1) != outcomes(2)
        assert 5 < sum(outcomes(1)) < 35

    def test_can_be_switched_off(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        switch = vendor.switch_on(Fault.BAD_CREDENTIALS, times=None)
        vendor.switch_off(switch)
        vendor.switch_off(switch)
        assert list(provider.list()) == []

    def test_lost_and_hidden_come_together(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.switch_on(Fault.LOST_MADE)
        vendor.switch_on(Fault.HIDDEN, lists=2)
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(OFFER), tag())
        assert [len(provider.list()) for _ in range(3)] == [0, 0, 1]

    def test_make_a_machine_stop_or_vanish_by_itself(
        self, vendor: MemoryCloud, provider: MemoryProvider
    ) -> None:
        vendor.switch_on(Fault.STOPS, seconds=30)
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        vendor.advance(30)
        assert provider.get(machine_id).state is MachineState.STOPPED
        vendor.switch_on(Fault.VANISHES, seconds=30)
        other = provider.create(spec(OFFER), tag(2)).machine_id
        vendor.advance(30)
        assert [record.machine_id for record in vendor.alive()] == [machine_id]
        with pytest.raises(NotFound):
            provider.get(other)

    def test_healing_shows_hidden_machines(self, vendor: MemoryCloud, provider: MemoryProvider) -> None:
        vendor.switch_on(Fault.HIDDEN, lists=100)
        provider.create(spec(OFFER), tag())
        assert list(provider.list()) == []
        vendor.heal()
        assert len(provider.list()) == 1

    def test_a_strange_state_is_unknown_and_not_dead(
        self, vendor: MemoryCloud, provider: MemoryProvider
    ) -> None:
        machine_id = provider.create(spec(OFFER), tag()).machine_id
        vendor.set_state(machine_id, MachineState.UNKNOWN)
        vendor.advance(1000)
        assert [machine.state for machine in provider.list()] == [MachineState.UNKNOWN]


class TestCloud:
    def test_of_one_name_is_one_for_the_process(self) -> None:
        assert cloud("one of a kind") is cloud("one of a kind") is not cloud("another")
