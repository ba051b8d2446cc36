"""CloudyPad keeps the seam's contract, by real processes of a tool that stands in for the vendor's."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vms.providers import contract, contract_deaths, contract_machines
from tests.vms.providers.cloudypad_vendor import UNKEPT, StandInHarness
from tests.vms.providers.harness import Harness, by_tag
from tests.vms.providers.specs import spec, tag
from tests.waiting import eventually
from vms.providers.base import MachineState, Need, Offer, Provider, Rejected, Unavailable
from vms.providers.cloudypad.cli import Times
from vms.providers.cloudypad.names import name_of
from vms.providers.cloudypad.provider import CloudyPadProvider, open_cloudypad
from vms.providers.cloudypad.runner import MOST_RUNS


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[StandInHarness]:
    made = StandInHarness(tmp_path)
    yield made
    made.finish()


class TestOffers(contract.OffersContract):
    pass


class TestSizes(contract.SizesContract):
    pass


class TestCreate(contract.CreateContract):
    def test_refuses_ports_that_could_not_be_reached(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        """Every machine has an address of its own; what the tool's firewall leaves shut is the question here."""
        with pytest.raises(Rejected, match="port 8080"):
            provider.create(spec(offer, tcp_ports=(47984, 8080)), tag())
        assert harness.alive() == []


class TestLook(contract_machines.LookContract):
    def test_may_miss_a_new_machine_for_a_while(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        """Not here: an order is on its page before the tool is started."""
        provider.create(spec(offer), tag())
        assert by_tag(provider)[tag()].state is MachineState.PENDING

    def test_believes_nothing_that_was_told_in_the_future(self, harness: StandInHarness) -> None:
        """As what was told before the clock was put back by an hour."""
        provider = harness.open(times=Times())
        assert provider.list() == []
        told = json.dumps({"names": ["gone-by-now"], "at": time.time() + 3600})
        (harness.home.folder / "gamer" / "names.json").write_text(told)
        assert provider.list() == []


class GetsOfFiveSeconds:
    """A clock on which each look at one machine takes that long."""

    def __init__(self, harness: StandInHarness) -> None:
        self._harness = harness

    def now(self) -> float:
        return 5 * len(self._harness.calls("get"))

    def nap(self) -> None: ...


class TestMoreMachinesThanOneListCanAskOf:
    @pytest.mark.parametrize("is_answered", [True, False])
    def test_are_all_asked_of_in_turn(self, harness: StandInHarness, is_answered: bool) -> None:
        """The tool is given 15 s by every list: three looks, and those that were on their way by then."""
        names = {name_of(tag(number)) for number in range(9)}
        for number in range(9):
            harness.plant(tag(number))
        if not is_answered:
            harness.fault("unavailable", ["get"], None)
        provider = open_cloudypad(
            "cloudypad_gcp", harness.account, times=UNKEPT, clock=GetsOfFiveSeconds(harness)
        )
        assert {machine.machine_id for machine in provider.list()} == names
        asked = [argv[1] for argv in harness.calls("get")]
        assert 3 <= len(asked) < 9
        for _ in range(2):
            provider.list()
        assert {argv[1] for argv in harness.calls("get")} == names

    def test_are_asked_of_first_once_they_were_changed(self, harness: StandInHarness) -> None:
        """Its player waits for it, or its stop is overdue meanwhile."""
        provider, name = harness.open(), name_of(tag())
        provider.create(spec(provider.offers(Need())[0]), tag())
        harness.advance()
        for number in range(1, 9):
            harness.plant(tag(number + 1))
        slow = open_cloudypad(
            "cloudypad_gcp", harness.account, times=UNKEPT, clock=GetsOfFiveSeconds(harness)
        )
        for _ in range(3):
            slow.list()
        assert slow.get(name).state is MachineState.RUNNING  # of all of them, it was asked of last
        provider.stop(name)
        assert by_tag(slow)[tag()].state is MachineState.STOPPED


class TestDelete(contract_machines.DeleteContract):
    pass


class TestPlaces(contract.Contract):
    """Creates take a quarter of an hour each, and only so many are carried out at once."""

    HASTY = Times(names=0, status=0, probe=0, create_watch=0, act_watch=0)

    @pytest.fixture
    def crowd(
        self, harness: StandInHarness, provider: CloudyPadProvider, offer: Offer
    ) -> Iterator[list[int]]:
        """Creates in every place for them, and a machine that was there before."""
        provider.create(spec(offer), tag())
        harness.finish()
        taken = [slot for _ in range(MOST_RUNS) if (slot := harness.home.slot("run", MOST_RUNS)) is not None]
        yield taken
        for slot in taken:
            os.close(slot)

    def test_for_a_stop_a_start_and_a_delete_are_not_taken_by_creates(
        self, harness: StandInHarness, crowd: list[int]
    ) -> None:
        assert len(crowd) == MOST_RUNS
        provider = harness.open(times=self.HASTY)
        provider.stop(name_of(tag()))
        eventually(lambda: by_tag(provider)[tag()].state is MachineState.STOPPED, timeout_s=30)
        provider.start(name_of(tag()))
        eventually(lambda: by_tag(provider)[tag()].state is MachineState.RUNNING, timeout_s=30)
        provider.delete(name_of(tag()))
        eventually(lambda: tag() not in by_tag(provider), timeout_s=30)
        assert harness.alive() == []

    def test_are_waited_for_by_creates_that_are_taken(
        self, harness: StandInHarness, crowd: list[int], offer: Offer
    ) -> None:
        """What is on our own page is no unknown outcome: three of those, and the provider counts as one that answers nothing."""
        provider = harness.open(times=self.HASTY)
        made = provider.create(spec(offer), tag(2))
        assert (made.machine_id, made.state, made.failure) == (name_of(tag(2)), MachineState.PENDING, None)
        assert by_tag(provider)[tag(2)].state is MachineState.PENDING
        assert len(harness.calls("create")) == 1
        while crowd:
            os.close(crowd.pop())
        harness.finish()
        assert harness.alive() == [tag(), tag(2)]

    def test_are_not_waited_for_by_a_create_that_is_to_be_deleted(
        self, harness: StandInHarness, crowd: list[int], offer: Offer
    ) -> None:
        provider = harness.open(times=self.HASTY)
        provider.create(spec(offer), tag(2))
        provider.delete(name_of(tag(2)))
        eventually(lambda: tag(2) not in by_tag(provider), timeout_s=30)
        while crowd:
            os.close(crowd.pop())
        eventually(lambda: not harness.busy(), timeout_s=30)
        assert (len(harness.calls("create")), harness.calls("destroy")) == (1, [])
        assert harness.alive() == [tag()]


class TestHome:
    """What the tool knows of machines lies there and nowhere else: without it all of them would seem gone."""

    def test_that_is_lost_with_machines_is_no_proof_that_they_are_gone(self, harness: StandInHarness) -> None:
        provider = harness.open()
        offer = provider.offers(Need())[0]
        machine_id = provider.create(spec(offer), tag()).machine_id
        harness.finish()
        shutil.rmtree(harness.home.folder)
        harness.account = replace(harness.account, has_machines=True)
        provider = harness.open()
        for ask in (
            lambda: provider.offers(Need()),
            lambda: provider.create(spec(offer), tag(2)),
            lambda: provider.get(machine_id),
            provider.list,
            lambda: provider.delete(machine_id),
            lambda: provider.stop(machine_id),
            lambda: provider.start(machine_id),
        ):
            with pytest.raises(Unavailable, match=f"{harness.home.marker} is missing"):
                ask()
        assert not harness.home.folder.exists()

    def test_that_is_lost_for_good_is_given_up_by_making_the_marker(self, harness: StandInHarness) -> None:
        harness.account = replace(harness.account, has_machines=True)
        harness.home.marker.parent.mkdir(parents=True)
        harness.home.marker.touch()
        assert harness.open().list() == []

    def test_from_before_homes_were_marked_is_one(self, harness: StandInHarness) -> None:
        provider = harness.open()
        machine_id = provider.create(spec(provider.offers(Need())[0]), tag()).machine_id
        harness.finish()
        harness.home.marker.unlink()
        (harness.home.folder / "gamer" / "names.json").unlink()
        harness.account = replace(harness.account, has_machines=True)
        assert harness.open().get(machine_id).tag == tag()
        assert harness.home.marker.exists()

    def test_is_made_for_an_account_without_machines(self, harness: StandInHarness) -> None:
        assert harness.open().list() == []
        assert harness.home.marker.exists()


class TestTrouble(contract_machines.TroubleContract):
    pass


class TestDeath(contract_deaths.DeathContract):
    """Of who called; the tool's and its runner's: `test_cloudypad_deaths.py`."""

    @pytest.fixture(params=["asked"])
    def moment(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestSuspend(contract_machines.SuspendContract):
    pass
