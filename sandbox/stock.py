"""Finite stock per hostnode, and how the vendor lists it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.catalogue import CITIES, DISPLAY_NAMES, City, Host

_IDS = uuid.UUID("7d0c8e0a-51a5-4cc2-9df3-7f1f3a0f2b6e")


class NoNodes(Exception):
    """Nothing free that fits."""


class NoPublicIp(Exception):
    """It would fit, but no public IP is left."""


@dataclass(frozen=True)
class Resources:
    """What an instance takes. RAM and disk in GB."""

    vcpus: int
    ram_gb: int
    storage_gb: int
    gpus: dict[str, int] = field(default_factory=dict)

    @property
    def disk(self) -> Resources:
        """The part that stays when the rest is released."""
        return Resources(0, 0, self.storage_gb)

    @property
    def compute(self) -> Resources:
        return Resources(self.vcpus, self.ram_gb, 0, self.gpus)


@dataclass(eq=False)
class Hostnode:
    """One host and what is free on it now."""

    id: str
    number: int
    location: Location
    host: Host
    gpus: dict[str, int]
    gpu_prices: dict[str, float]
    vcpus: int
    ram_gb: int
    storage_gb: int
    public_ips: int
    ports: list[int]

    def fits(self, wanted: Resources) -> bool:
        return (
            self.vcpus >= wanted.vcpus
            and self.ram_gb >= wanted.ram_gb
            and self.storage_gb >= wanted.storage_gb
            and all(self.gpus.get(name, 0) >= count for name, count in wanted.gpus.items())
        )

    def take(self, wanted: Resources) -> None:
        """Takes compute and disk; raises NoNodes."""
        if not self.fits(wanted):
            raise NoNodes
        self._add(wanted, -1)

    def give(self, held: Resources) -> None:
        self._add(held, 1)

    def _add(self, change: Resources, sign: int) -> None:
        self.vcpus += sign * change.vcpus
        self.ram_gb += sign * change.ram_gb
        self.storage_gb += sign * change.storage_gb
        for name, count in change.gpus.items():
            self.gpus[name] += sign * count

    def take_ports(self, wanted: Iterable[int], *, as_asked: bool) -> list[int]:
        """External ports for as many wanted; where they need not be as asked they never are. Raises NoNodes."""
        taken: list[int] = []
        for port in wanted:
            if not self.ports:
                self.give_ports(taken)
                raise NoNodes
            chosen = port if as_asked and port in self.ports else next(p for p in self.ports if p != port)
            self.ports.remove(chosen)
            taken.append(chosen)
        return taken

    def give_ports(self, ports: Iterable[int]) -> None:
        self.ports = sorted({*self.ports, *ports})

    def hourly(self, held: Resources) -> float:
        """USD per hour."""
        gpus = sum(count * self.gpu_prices[name] for name, count in held.gpus.items())
        disk = held.storage_gb * self.host.per_storage_gb
        return gpus + held.vcpus * self.host.per_vcpu + held.ram_gb * self.host.per_ram_gb + disk

    @property
    def pricing(self) -> dict[str, float]:
        return {
            "per_vcpu_hr": self.host.per_vcpu,
            "per_gb_ram_hr": self.host.per_ram_gb,
            "per_gb_storage_hr": self.host.per_storage_gb,
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "location_id": self.location.id,
            "engine": "libvirt",
            "uptime_percentage": 99.5,
            "available_resources": {
                "gpus": [
                    {"v0Name": name, "availableCount": count, "price_per_hr": self.gpu_prices[name]}
                    for name, count in self.gpus.items()
                ],
                "vcpu_count": self.vcpus,
                "ram_gb": self.ram_gb,
                "storage_gb": self.storage_gb,
                "available_ports": list(self.ports),
                "has_public_ip_available": self.public_ips > 0,
            },
            "pricing": self.pricing,
            "location": self.location.as_host_json(),
        }


@dataclass(eq=False)
class Location:
    id: str
    city: City
    hosts: list[Hostnode] = field(default_factory=list)

    def as_host_json(self) -> dict[str, Any]:
        return {
            "uuid": self.id,
            "city": self.city.city,
            "stateprovince": self.city.stateprovince,
            "country": self.city.country,
            "has_network_storage": False,
            "network_speed_gbps": self.city.gbps,
            "network_speed_upload_gbps": self.city.gbps / 2,
            "organization": uuid.uuid5(_IDS, self.city.organization).hex,
            "organizationName": self.city.organization,
            "tier": self.city.tier,
        }

    def as_json(self) -> dict[str, Any] | None:
        """The aggregated offer, or None while no GPU is free here."""
        names = dict.fromkeys(name for host in self.hosts for name in host.gpus)
        gpus = [listed for name in names if (listed := self._gpu_as_json(name)) is not None]
        if not gpus:
            return None
        city = self.city
        return {
            "id": self.id,
            "city": city.city,
            "stateprovince": city.stateprovince,
            "country": city.country,
            "tier": city.tier,
            "gpus": gpus,
        }

    def _gpu_as_json(self, name: str) -> dict[str, Any] | None:
        hosts = [host for host in self.hosts if host.gpus.get(name, 0) > 0]
        if not hosts:
            return None
        best = max(hosts, key=lambda host: host.gpus[name])
        return {
            "v0Name": name,
            "displayName": DISPLAY_NAMES[name],
            "max_count": best.gpus[name],
            "price_per_hr": best.gpu_prices[name],
            "resources": {
                "max_vcpus": best.vcpus,
                "max_ram_gb": best.ram_gb,
                "max_storage_gb": best.storage_gb,
            },
            "pricing": best.pricing,
            "network_features": {
                "dedicated_ip_available": any(host.public_ips > 0 for host in hosts),
                "port_forwarding_available": True,
                "network_storage_available": False,
            },
        }


class Stock:
    """Everything for rent. Ids are the same in every sandbox."""

    def __init__(self, cities: Iterable[City] = CITIES) -> None:
        self.locations: dict[str, Location] = {}
        self.hostnodes: dict[str, Hostnode] = {}
        for city in cities:
            self._add_city(city)

    def _add_city(self, city: City) -> None:
        location = Location(_id(f"location/{city.country}/{city.stateprovince}/{city.city}"), city)
        self.locations[location.id] = location
        for host in city.hosts:
            number = len(self.hostnodes) + 1
            first_port = 20000 + number * 100
            hostnode = Hostnode(
                id=_id(f"hostnode/{location.id}/{len(location.hosts)}"),
                number=number,
                location=location,
                host=host,
                gpus={name: count for name, count, _ in host.gpus},
                gpu_prices={name: price for name, _, price in host.gpus},
                vcpus=host.vcpus,
                ram_gb=host.ram_gb,
                storage_gb=host.storage_gb,
                public_ips=host.public_ips,
                ports=list(range(first_port, first_port + host.forwardable_ports)),
            )
            location.hosts.append(hostnode)
            self.hostnodes[hostnode.id] = hostnode

    def find(self, location_id: str, wanted: Resources, *, dedicated_ip: bool) -> Hostnode:
        """The host TensorDock would pick at a location; raises NoNodes, NoPublicIp."""
        location = self.locations.get(location_id)
        fitting = [host for host in location.hosts if host.fits(wanted)] if location else []
        if not fitting:
            raise NoNodes
        if dedicated_ip:
            fitting = [host for host in fitting if host.public_ips > 0]
            if not fitting:
                raise NoPublicIp
        return fitting[0]

    def listed_hostnodes(self, filters: dict[str, str]) -> Iterator[Hostnode]:
        """Filters `location`, `minRamGb`, `minVcpu`, `gpu`; others and unreadable numbers are ignored."""
        for host in self.hostnodes.values():
            if "location" in filters and filters["location"] != host.location.id:
                continue
            if "gpu" in filters and host.gpus.get(filters["gpu"], 0) < 1:
                continue
            if host.ram_gb < _number(filters.get("minRamGb")) or host.vcpus < _number(filters.get("minVcpu")):
                continue
            yield host


def _id(name: str) -> str:
    return str(uuid.uuid5(_IDS, name))


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
