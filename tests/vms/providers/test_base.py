"""The seam's own small rules."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.vms.providers.specs import pick, spec, tag
from vms.providers.base import TAG, Offer, Place, Sizes, installation_of, make_tag
from vms.providers.memory import STOCK


class TestTag:
    def test_leads_back_to_installation_vm_and_attempt(self) -> None:
        match = TAG.match(make_tag("abcd1234", "0123456789ab", 17))
        assert match is not None
        assert match.groups() == ("abcd1234", "0123456789ab", "17")
        assert installation_of(tag()) == "contract"

    @pytest.mark.parametrize(
        "parts", [("ABCD1234", "0" * 12, 1), ("abcd1234", "0" * 11, 1), ("abcd1234", "0" * 12, -1)]
    )
    def test_is_refused_when_a_part_does_not_fit(self, parts: tuple[str, str, int]) -> None:
        with pytest.raises(ValueError, match="not a tag"):
            make_tag(*parts)

    @pytest.mark.parametrize("name", ["", "gamer", f"{tag()}\n", f"x{tag()}", f"{tag()}0000"])
    def test_is_nothing_less_and_nothing_more(self, name: str) -> None:
        assert installation_of(name) == ""


class TestPrice:
    def test_is_the_sum_of_its_parts(self) -> None:
        parts = [Decimal(each) for each in ("1", "0.1", "0.01", "0.001", "0.0001", "0.00001")]
        offer = Offer("o", Place("r"), "g", 0, 9, 9, 9, 9, *parts, has_dedicated_ip=True)
        assert offer.price(gpus=1, vcpus=2, ram_gb=3, disk_gb=4) == Decimal("1.1234")
        assert offer.price(gpus=1, vcpus=2, ram_gb=3, disk_gb=4, dedicated_ip=True) == Decimal("1.12341")

    @pytest.mark.parametrize(
        ("ports", "has_ip", "one_to_one", "takes_ip"),
        [
            ((1,), True, False, True),
            ((), True, False, False),
            ((1,), True, True, False),
            ((1,), False, True, False),
        ],
    )
    def test_has_an_address_in_it_when_ports_need_one(
        self, ports: tuple[int, ...], has_ip: bool, one_to_one: bool, takes_ip: bool
    ) -> None:
        offer = Offer(
            "o",
            Place("r"),
            usd_per_dedicated_ip=Decimal("0.005"),
            has_dedicated_ip=has_ip,
            maps_ports_one_to_one=one_to_one,
        )
        ordered = spec(offer, tcp_ports=ports, udp_ports=(), gpus=0)
        assert ordered.uses_dedicated_ip is takes_ip
        assert ordered.usd_per_hour == (Decimal("0.005") if takes_ip else 0)

    def test_of_the_facts_example_is_exact(self) -> None:
        offer = next(each for each in STOCK if each.offer_id == "manassas-4090")
        assert spec(offer, vcpus=8, ram_gb=32).usd_per_hour == Decimal("0.47")


class TestSizes:
    def test_are_the_next_legal_ones_above_a_floor(self) -> None:
        ladder = (2, 4, 8)
        assert [Sizes.at_least(ladder, floor) for floor in (0, 2, 3, 8, 9)] == [2, 2, 4, 8, None]


class TestPorts:
    def test_are_public_on_an_address_of_its_own_or_one_to_one(self) -> None:
        assert pick(STOCK).has_public_ports
        assert not Offer("o", Place("r")).has_public_ports
        assert Offer("o", Place("r"), maps_ports_one_to_one=True).has_public_ports
