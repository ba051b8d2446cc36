"""CloudyPad keeps the seam's contract, by real processes of a tool that stands in for the vendor's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vms.providers import contract, contract_deaths, contract_machines
from tests.vms.providers.cloudypad_vendor import StandInHarness
from tests.vms.providers.harness import Harness, by_tag
from tests.vms.providers.specs import spec, tag
from vms.providers.base import MachineState, Offer, Provider, Rejected
from vms.providers.cloudypad.cli import Times


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


class TestDelete(contract_machines.DeleteContract):
    pass


class TestTrouble(contract_machines.TroubleContract):
    pass


class TestDeath(contract_deaths.DeathContract):
    """Of who called; the tool's and its runner's: `test_cloudypad_deaths.py`."""

    @pytest.fixture(params=["asked"])
    def moment(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestSuspend(contract_machines.SuspendContract):
    pass
