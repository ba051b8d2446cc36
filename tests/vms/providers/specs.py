"""Orders for tests: real keys, legal sizes, tags of one made-up installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from vms.providers.base import MachineSpec, Offer, make_tag

OURS = "contract"
OTHERS = "stranger"
MOONLIGHT_TCP = (47984, 47989, 48010)
MOONLIGHT_UDP = (47998, 47999, 48000)


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
        tcp_ports=MOONLIGHT_TCP,
        udp_ports=MOONLIGHT_UDP,
    )
    return replace(ordered, **changes)


def pick(offers: Sequence[Offer], *, gpus: int = 1) -> Offer:
    """An offer with public ports; `gpus` 0 for one that needs none."""
    return next(each for each in offers if each.has_public_ports and each.min_gpus <= gpus <= each.max_gpus)
