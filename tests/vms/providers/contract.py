"""What every provider must do, run on each of them: subclass, and give a `harness`.

Here: what can be had, and its orders. `contract_machines.py`: machines that are there. `contract_deaths.py`: our own death in a call.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import cycle, pairwise

import pytest

from tests.vms.providers.harness import (
    LATE_S,
    Harness,
    Trouble,
    by_tag,
)
from tests.vms.providers.specs import pick, spec, tag, whole
from vms.providers.base import (
    BadCredentials,
    Machine,
    MachineState,
    Need,
    NoCapacity,
    Offer,
    OutcomeUnknown,
    Provider,
    ProviderError,
    QuotaExceeded,
    Rejected,
    Sizes,
    Unavailable,
)


class Contract:
    """Needs the fixture `harness`."""

    @pytest.fixture
    def provider(self, harness: Harness) -> Provider:
        return harness.open()

    @pytest.fixture
    def offer(self, provider: Provider) -> Offer:
        return pick(provider.offers(Need()))

    @pytest.fixture
    def running(self, harness: Harness, provider: Provider, offer: Offer) -> Machine:
        made = provider.create(spec(offer), tag())
        harness.advance()
        return provider.get(made.machine_id)


class OffersContract(Contract):
    def test_have_distinct_stable_ids(self, provider: Provider) -> None:
        ids = [each.offer_id for each in provider.offers(Need())]
        assert len(set(ids)) == len(ids) > 0
        assert [each.offer_id for each in provider.offers(Need())] == ids

    def test_include_machines_without_gpu(self, provider: Provider) -> None:
        assert pick(provider.offers(Need(vcpus=2)), gpus=0).min_gpus == 0

    def test_for_a_need_are_never_less_than_what_fits(self, provider: Provider) -> None:
        need = Need(gpus=1, gpu_models=frozenset({pick(provider.offers(Need())).gpu_model}))
        fitting = {
            each.offer_id
            for each in provider.offers(Need())
            if each.gpu_model in need.gpu_models and each.max_gpus >= 1
        }
        assert fitting
        assert fitting <= {each.offer_id for each in provider.offers(need)}

    def test_carry_an_order_that_fits_into_a_row(self, provider: Provider) -> None:
        assert all(len(json.dumps(dict(each.order))) <= 2048 for each in provider.offers(Need()))

    def test_name_their_place_in_full(self, provider: Provider) -> None:
        assert all(
            each.place.region and each.place.city and each.place.country for each in provider.offers(Need())
        )

    def test_have_exact_prices(self, provider: Provider) -> None:
        for each in provider.offers(Need()):
            prices = (each.usd_per_gpu, each.usd_per_vcpu, each.usd_per_gb_ram, each.usd_per_gb_disk)
            # A price that went through a float has a long tail of digits.
            assert all(isinstance(price, Decimal) and len(price.as_tuple().digits) <= 6 for price in prices)

    def test_raise_when_the_vendor_is_away(self, harness: Harness, provider: Provider) -> None:
        harness.trouble(Trouble.BROKEN)
        with pytest.raises(Unavailable):
            provider.offers(Need())


class SizesContract(Contract):
    def test_ascend(self, provider: Provider) -> None:
        for ladder in (provider.sizes.vcpus, provider.sizes.ram_gb, provider.sizes.disk_gb):
            assert all(low < high for low, high in pairwise(ladder))

    @pytest.mark.parametrize(
        ("vcpus", "ram_gb", "disk_gb"), [(2, 4, 50), (4, 8, 100), (8, 16, 200), (3, 11, 101)]
    )
    def test_that_are_next_above_a_floor_can_be_bought(
        self, provider: Provider, offer: Offer, vcpus: int, ram_gb: int, disk_gb: int
    ) -> None:
        sizes = provider.sizes
        bought = (
            whole(offer)
            if sizes.whole
            else spec(
                offer,
                vcpus=Sizes.at_least(sizes.vcpus, vcpus),
                ram_gb=Sizes.at_least(sizes.ram_gb, ram_gb),
                disk_gb=Sizes.at_least(sizes.disk_gb, disk_gb),
            )
        )
        assert bought.vcpus >= vcpus
        assert provider.create(bought, tag()).machine_id

    def test_that_are_not_legal_are_rejected(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        illegal = offer.max_vcpus + 1 if provider.sizes.whole else 3
        with pytest.raises(Rejected):
            provider.create(spec(offer, vcpus=illegal), tag())
        assert harness.alive() == []


class CreateContract(Contract):
    def test_makes_one_machine_that_comes_to_run(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        made = provider.create(spec(offer), tag())
        assert (made.tag, made.state) == (tag(), MachineState.PENDING)
        harness.advance()
        machine = provider.get(made.machine_id)
        assert (machine.machine_id, machine.tag, machine.state) == (
            made.machine_id,
            tag(),
            MachineState.RUNNING,
        )
        assert machine.ip
        assert 0 < machine.ssh_port < 65536
        assert machine.ssh_user
        assert harness.alive() == [tag()]

    def test_needs_no_gpu(self, harness: Harness, provider: Provider) -> None:
        provider.create(spec(pick(provider.offers(Need()), gpus=0)), tag())
        assert harness.alive() == [tag()]

    def test_costs_what_the_offer_says(self, running: Machine, offer: Offer) -> None:
        expected = offer.usd_per_hour + offer.usd_per_gpu + 4 * offer.usd_per_vcpu
        expected += 8 * offer.usd_per_gb_ram + 100 * offer.usd_per_gb_disk
        assert running.usd_per_hour == expected == spec(offer).usd_per_hour

    def test_refuses_ports_that_could_not_be_reached(self, harness: Harness, provider: Provider) -> None:
        closed = next(each for each in provider.offers(Need()) if not each.has_public_ports)
        with pytest.raises(Rejected, match="port"):
            provider.create(spec(closed), tag())
        assert harness.alive() == []

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [
            (Trouble.NO_CAPACITY, NoCapacity),
            (Trouble.QUOTA_EXCEEDED, QuotaExceeded),
            (Trouble.REJECTED, Rejected),
            (Trouble.BAD_CREDENTIALS, BadCredentials),
            (Trouble.UNAVAILABLE, Unavailable),
        ],
    )
    def test_that_is_refused_makes_nothing(
        self, harness: Harness, provider: Provider, offer: Offer, trouble: Trouble, error: type[ProviderError]
    ) -> None:
        harness.trouble(trouble)
        with pytest.raises(error) as raised:
            provider.create(spec(offer), tag())
        assert type(raised.value) is error
        assert str(raised.value)
        assert harness.alive() == []

    def test_whose_outcome_is_unknown_is_found_by_its_tag(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        harness.trouble(Trouble.LOST_MADE)
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(offer), tag())
        assert harness.alive() == [tag()]
        found = by_tag(provider)[tag()]
        provider.delete(found.machine_id)
        harness.advance()
        assert harness.alive() == []

    def test_whose_outcome_is_unknown_may_have_made_nothing(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        harness.trouble(Trouble.LOST_UNMADE)
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(offer), tag())
        harness.advance(LATE_S)
        assert (harness.alive(), by_tag(provider)) == ([], {})

    def test_whose_outcome_is_unknown_may_land_late(
        self, harness: Harness, provider: Provider, offer: Offer
    ) -> None:
        harness.trouble(Trouble.LOST_LATE)
        with pytest.raises(OutcomeUnknown):
            provider.create(spec(offer), tag())
        # Unseen, or known to be under way: never more than that.
        assert {machine.state for machine in by_tag(provider).values()} <= {MachineState.PENDING}
        harness.advance(LATE_S)
        assert list(by_tag(provider)) == [tag()] == harness.alive()

    def test_may_never_run(self, harness: Harness, provider: Provider, offer: Offer) -> None:
        harness.trouble(Trouble.NEVER_RUNS)
        made = provider.create(spec(offer), tag())
        harness.advance(LATE_S)
        assert provider.get(made.machine_id).state is MachineState.PENDING

    def test_may_never_get_an_address(self, harness: Harness, provider: Provider, offer: Offer) -> None:
        harness.trouble(Trouble.NEVER_IP)
        made = provider.create(spec(offer), tag())
        harness.advance(LATE_S)
        machine = provider.get(made.machine_id)
        assert (machine.state, machine.ip) == (MachineState.RUNNING, "")

    def test_from_eight_threads_makes_eight(self, harness: Harness, provider: Provider) -> None:
        offers = [each for each in provider.offers(Need()) if each.has_public_ports and each.min_gpus == 0]
        tags = [tag(number) for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            made = list(
                pool.map(
                    lambda offer, each: harness.open().create(spec(offer, gpus=0), each), cycle(offers), tags
                )
            )
        assert len({machine.machine_id for machine in made}) == 8
        assert sorted(by_tag(provider)) == sorted(harness.alive()) == tags
