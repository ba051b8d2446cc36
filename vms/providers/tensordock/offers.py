"""TensorDock's stock in the seam's words. Pure.

A location's row is bought by `location_id` and TensorDock picks the host; it always needs a GPU. A hostnode is bought by `hostnode_id`,
also without GPU. Hostnodes are offered for what their location does not sell: no GPU, a model it does not list, or a public IP.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from vms.providers.base import Offer, Place, Sizes
from vms.providers.tensordock.answers import Row, mapping, usd, whole

log = logging.getLogger(__name__)

# vCPUs even, RAM by the steps two clients of 2026 found, disk from 100 GB by 50 (documented for modify, legal at create).
SIZES = Sizes(
    vcpus=range(2, 257, 2), ram_gb=(2, 4, 6, 8, 10, *range(16, 257, 16), 512), disk_gb=range(100, 20001, 50)
)
_MAX_PORTS = 32


class Incomplete(ValueError):
    """A row without what an order needs."""


def offers_from(locations: Iterable[Row], hostnodes: Iterable[Row]) -> list[Offer]:
    """Every offer that can be bought and reached. Rows that make no sense are left out and logged."""
    offers: list[Offer] = []
    sold: dict[tuple[str, str], bool] = {}
    for location in locations:
        for gpu in location.get("gpus") or ():
            offer = _of_row(_location_offer, location, mapping(gpu))
            if offer is not None:
                offers.append(offer)
                sold[_text(location, "id"), offer.gpu_model] = offer.has_dedicated_ip
    for host in hostnodes:
        for gpu in _gpus_to_pin(host, sold):
            offer = _of_row(_hostnode_offer, host, gpu)
            if offer is not None:
                offers.append(offer)
    return offers


def _of_row(
    read: Callable[[Row, Mapping[str, Any]], Offer | None], row: Row, gpu: Mapping[str, Any]
) -> Offer | None:
    try:
        return read(row, gpu)
    except Incomplete as error:
        log.warning("an offer is left out: %s", error)
        return None


def _location_offer(location: Row, gpu: Mapping[str, Any]) -> Offer | None:
    location_id, model = _text(location, "id"), _text(gpu, "v0Name")
    most, network = mapping(gpu.get("resources")), mapping(gpu.get("network_features"))
    pricing = mapping(gpu.get("pricing"))
    has_ip = network.get("dedicated_ip_available") is True
    if whole(gpu.get("max_count")) < 1 or not (has_ip or network.get("port_forwarding_available", True)):
        return None
    return Offer(
        offer_id=f"loc:{location_id}:{model}",
        place=_place(location),
        gpu_model=model,
        min_gpus=1,
        max_gpus=whole(gpu["max_count"]),
        max_vcpus=whole(most.get("max_vcpus")),
        max_ram_gb=whole(most.get("max_ram_gb")),
        max_disk_gb=whole(most.get("max_storage_gb")),
        usd_per_gpu=_price(gpu, "price_per_hr"),
        has_dedicated_ip=has_ip,
        order={"location_id": location_id},
        usd_per_vcpu=_price(pricing, "per_vcpu_hr"),
        usd_per_gb_ram=_price(pricing, "per_gb_ram_hr"),
        usd_per_gb_disk=_price(pricing, "per_gb_storage_hr"),
    )


def _gpus_to_pin(host: Row, sold: Mapping[tuple[str, str], bool]) -> Iterator[Mapping[str, Any]]:
    """No GPU first, then the models that this host adds to what its location sells."""
    free = mapping(host.get("available_resources"))
    yield {}
    has_ip = free.get("has_public_ip_available") is True
    for gpu in map(mapping, free.get("gpus") or ()):
        has_ip_by_location = sold.get((str(host.get("location_id")), str(gpu.get("v0Name"))))
        if has_ip_by_location is None or (has_ip and not has_ip_by_location):
            yield gpu


def _hostnode_offer(host: Row, gpu: Mapping[str, Any]) -> Offer | None:
    host_id, free = _text(host, "id"), mapping(host.get("available_resources"))
    pricing = mapping(host.get("pricing"))
    ports = [port for port in free.get("available_ports") or () if type(port) is int and 0 < port < 65536]
    has_ip = free.get("has_public_ip_available") is True
    gpus = whole(gpu.get("availableCount"))
    # A host with neither a free port nor a free address cannot be reached: no capacity.
    if (gpu and gpus < 1) or not (has_ip or ports):
        return None
    model = _text(gpu, "v0Name") if gpu else ""
    return Offer(
        offer_id=f"host:{host_id}:{model or 'cpu'}",
        place=_place(mapping(host.get("location"))),
        gpu_model=model,
        min_gpus=1 if gpu else 0,
        max_gpus=gpus,
        max_vcpus=_least(free, gpus, "vcpu_count", "max_vcpus", "max_vcpus_per_gpu"),
        max_ram_gb=_least(free, gpus, "ram_gb", "max_ram_gb", "max_ram_per_gpu"),
        max_disk_gb=_least(free, 0, "storage_gb", "max_storage_gb", ""),
        usd_per_gpu=_price(gpu, "price_per_hr") if gpu else Decimal(0),
        has_dedicated_ip=has_ip,
        order={"hostnode_id": host_id, "ports": ports[:_MAX_PORTS]},
        usd_per_vcpu=_price(pricing, "per_vcpu_hr"),
        usd_per_gb_ram=_price(pricing, "per_gb_ram_hr"),
        usd_per_gb_disk=_price(pricing, "per_gb_storage_hr"),
    )


def _least(free: Mapping[str, Any], gpus: int, amount: str, most: str, per_gpu: str) -> int:
    limits = [whole(free.get(amount))]
    if free.get(most) is not None:
        limits.append(whole(free[most]))
    if gpus and free.get(per_gpu) is not None:
        limits.append(gpus * whole(free[per_gpu]))
    return min(limits)


def _price(row: Mapping[str, Any], key: str) -> Decimal:
    price = usd(row.get(key))
    if price is None:
        raise Incomplete(f"no price under {key}")
    return price


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value or len(value) > 100:
        raise Incomplete(f"no usable {key}")
    return value


def _place(location: Mapping[str, Any]) -> Place:
    """`region` is readable and begins with its country, then its state: preferences match by prefix."""
    city, state, country = (
        str(location.get(key) or "")[:100] for key in ("city", "stateprovince", "country")
    )
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(filter(None, (country, state, city))).lower())
    return Place(region=words.strip("-"), city=city, state=state, country=country)
