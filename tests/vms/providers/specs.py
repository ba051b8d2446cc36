"""Orders for tests: real keys, legal sizes, tags of one made-up installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from vms.providers.base import MachineSpec, Offer, make_tag
from vms.streaming import TCP_PORTS, UDP_PORTS

OURS = "contract"
OTHERS = "stranger"


@cache
def key_pair() -> tuple[str, str]:
    """(private key as OpenSSH text, public key as one authorized_keys line)"""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def tag(number: int = 1, *, attempt: int = 1, installation: str = OURS) -> str:
    return make_tag(installation, f"{number:012d}", attempt)


def spec(offer: Offer, **changes: Any) -> MachineSpec:
    private, public = key_pair()
    ordered = MachineSpec(
        offer=offer,
        gpus=1 if offer.max_gpus else 0,
        vcpus=4,
        ram_gb=8,
        disk_gb=100,
        ssh_public_key=public,
        ssh_host_key=private,
        ssh_host_public_key=public,
        ssh_private_key=private,
        tcp_ports=TCP_PORTS,
        udp_ports=UDP_PORTS,
    )
    return replace(ordered, **changes)


def whole(offer: Offer) -> MachineSpec:
    """The order of an offer that is bought as it is."""
    size = {"vcpus": offer.max_vcpus, "ram_gb": offer.max_ram_gb, "disk_gb": offer.max_disk_gb}
    return spec(offer, gpus=offer.max_gpus, **size)


def pick(offers: Sequence[Offer], *, gpus: int = 1) -> Offer:
    """An offer with public ports; `gpus` 0 for one that needs none."""
    return next(each for each in offers if each.has_public_ports and each.min_gpus <= gpus <= each.max_gpus)
