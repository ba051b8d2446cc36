"""From TensorDock's locations and hostnodes to offers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.vms.providers.literal import Answer, LiteralServer
from tests.vms.providers.specs import pick
from tests.vms.providers.wire import HTML
from vms.providers.base import (
    Need,
    Offer,
    Unavailable,
)
from vms.providers.tensordock import TensorDockProvider


@pytest.fixture
def provider(literal_provider: TensorDockProvider) -> TensorDockProvider:
    return literal_provider


class TestStock:
    GPU = {
        "v0Name": "geforcertx4090-pcie-24gb",
        "displayName": "NVIDIA GeForce RTX 4090 PCIe 24GB",
        "max_count": 4,
        "price_per_hr": 0.377,
        "resources": {"max_vcpus": 32, "max_ram_gb": 128, "max_storage_gb": 1000},
        "pricing": {"per_vcpu_hr": 0.003, "per_gb_ram_hr": 0.002, "per_gb_storage_hr": 0.00005},
        "network_features": {
            "dedicated_ip_available": True,
            "port_forwarding_available": True,
            "network_storage_available": False,
        },
    }
    CITY = {
        "id": "loc-1",
        "city": "Manassas",
        "stateprovince": "Virginia",
        "country": "United States",
        "tier": 3,
    }
    HOST = {
        "id": "host-1",
        "location_id": "loc-1",
        "engine": "x",
        "uptime_percentage": 99.5,
        "available_resources": {
            "gpus": [{"v0Name": "geforcertx4090-pcie-24gb", "availableCount": 2, "price_per_hr": 0.4}],
            "vcpu_count": 64,
            "ram_gb": 200.5,
            "storage_gb": 3000,
            "available_ports": [20009, 20010, "x", 0, 99999],
            "has_public_ip_available": False,
        },
        "pricing": {"per_vcpu_hr": 0.012, "per_gb_ram_hr": 0.002, "per_gb_storage_hr": 0.00007},
        "location": {
            "uuid": "loc-1",
            "city": "Manassas",
            "stateprovince": "Virginia",
            "country": "United States",
        },
    }

    def offers(
        self, server: LiteralServer, provider: TensorDockProvider, locations: list[Any], hostnodes: list[Any]
    ) -> list[Offer]:
        server.answers = [
            Answer(body=json.dumps({"data": {"locations": locations}}).encode()),
            Answer(body=json.dumps({"data": {"hostnodes": hostnodes}}).encode()),
        ]
        return list(provider.offers(Need()))

    def gpu(self, **network: bool) -> dict[str, Any]:
        return {**self.GPU, "network_features": {**self.GPU["network_features"], **network}}

    def host(self, **free: Any) -> dict[str, Any]:
        return {**self.HOST, "available_resources": {**self.HOST["available_resources"], **free}}

    def test_of_a_location_is_bought_by_its_id(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        (offer,) = self.offers(server, provider, [{**self.CITY, "gpus": [self.GPU]}], [])
        assert offer.offer_id == "loc:loc-1:geforcertx4090-pcie-24gb"
        assert offer.order == {"location_id": "loc-1"}
        assert (offer.min_gpus, offer.max_gpus, offer.max_vcpus) == (1, 4, 32)
        assert (offer.max_ram_gb, offer.max_disk_gb, offer.has_dedicated_ip) == (128, 1000, True)
        assert (offer.place.region, offer.place.city) == ("united-states-virginia-manassas", "Manassas")

    def test_has_prices_without_a_trace_of_floats(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        (offer,) = self.offers(server, provider, [{**self.CITY, "gpus": [self.GPU]}], [])
        assert offer.price(gpus=1, vcpus=8, ram_gb=32, disk_gb=100) == Decimal("0.470")

    def test_without_gpu_comes_from_a_hostnode(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        bare = self.host(gpus=[])
        (offer,) = self.offers(server, provider, [], [bare])
        assert (offer.offer_id, offer.min_gpus, offer.max_gpus) == ("host:host-1:cpu", 0, 0)
        assert offer.order == {"hostnode_id": "host-1", "ports": [20009, 20010]}
        assert (offer.max_vcpus, offer.max_ram_gb, offer.max_disk_gb) == (64, 200, 3000)
        assert offer.price(gpus=0, vcpus=2, ram_gb=4, disk_gb=100) == Decimal("0.039")

    def test_pins_a_host_only_for_what_its_location_does_not_sell(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        def ids(gpu: Any, host: Any) -> set[str]:
            return {
                each.offer_id for each in self.offers(server, provider, [{**self.CITY, "gpus": gpu}], [host])
            }

        location, pinned = "loc:loc-1:geforcertx4090-pcie-24gb", "host:host-1:geforcertx4090-pcie-24gb"
        with_ip, without_ip = self.host(has_public_ip_available=True), self.HOST
        assert ids([self.GPU], with_ip) == {location, "host:host-1:cpu"}
        assert ids([self.gpu(dedicated_ip_available=False)], with_ip) == {location, "host:host-1:cpu", pinned}
        assert ids([self.gpu(dedicated_ip_available=False)], without_ip) == {location, "host:host-1:cpu"}
        assert ids([], without_ip) == {"host:host-1:cpu", pinned}

    def test_holds_a_host_to_its_limits_per_gpu(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        host = self.host(max_vcpus_per_gpu=16, max_ram_per_gpu=48, max_storage_gb=500)
        bare, pinned = self.offers(server, provider, [], [host])
        assert (bare.max_vcpus, bare.max_ram_gb, bare.max_disk_gb) == (64, 200, 500)
        assert (pinned.max_vcpus, pinned.max_ram_gb, pinned.max_disk_gb) == (32, 96, 500)

    @pytest.mark.parametrize(
        ("locations", "hostnodes"),
        [
            ([{**CITY, "gpus": [{**GPU, "max_count": 0}]}], []),
            ([{**CITY, "gpus": [{**GPU, "price_per_hr": None}]}], []),
            ([{**CITY, "gpus": [{**GPU, "price_per_hr": -1}]}], []),
            ([{**CITY, "gpus": [{**GPU, "pricing": {}}]}], []),
            ([{**CITY, "gpus": [{**GPU, "v0Name": ""}]}], []),
            ([{**CITY, "gpus": [{**GPU, "network_features": {"port_forwarding_available": False}}]}], []),
            ([{**CITY, "id": None, "gpus": [GPU]}], []),
            ([{**CITY, "gpus": None}], []),
            ([{**CITY, "gpus": ["x"]}], []),
            ([], [{**HOST, "available_resources": {}}]),
            ([], [{**HOST, "available_resources": {**HOST["available_resources"], "available_ports": []}}]),
            ([], [{**HOST, "pricing": None}]),
            ([], [{}]),
        ],
    )
    def test_leaves_out_what_cannot_be_bought_or_reached(
        self, server: LiteralServer, provider: TensorDockProvider, locations: list[Any], hostnodes: list[Any]
    ) -> None:
        good = {**self.CITY, "id": "good", "gpus": [self.GPU]}
        offers = self.offers(server, provider, [*locations, good], hostnodes)
        assert [each.offer_id for each in offers] == ["loc:good:geforcertx4090-pcie-24gb"]

    def test_for_a_need_leaves_out_other_gpus(
        self, server: LiteralServer, provider: TensorDockProvider
    ) -> None:
        self.offers(server, provider, [], [])
        server.answers = [
            Answer(body=json.dumps({"data": {"locations": [{**self.CITY, "gpus": [self.GPU]}]}}).encode()),
            Answer(body=json.dumps({"data": {"hostnodes": [self.HOST]}}).encode()),
        ]
        models = frozenset({"geforcertx4090-pcie-24gb"})
        assert pick(provider.offers(Need(gpus=1, gpu_models=models))).gpu_model in models

    @pytest.mark.parametrize("body", [{"data": {}}, {"data": {"locations": None}}, HTML, {"error": "later"}])
    def test_that_cannot_be_read_is_unavailable(
        self, server: LiteralServer, provider: TensorDockProvider, body: Any
    ) -> None:
        server.answer(body)
        with pytest.raises(Unavailable):
            provider.offers(Need())
