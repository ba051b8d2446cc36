"""The adapter to a `MemoryCloud`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from vms.providers.base import Machine, MachineSpec, Need, Offer, Provider, Sizes, Suspendable
from vms.providers.memory.vendor import SIZES, MemoryCloud


class MemoryProvider(Provider, Suspendable):
    """Holds nothing of its own: make as many as you like."""

    kind: ClassVar[str] = "memory"
    sizes: ClassVar[Sizes] = SIZES

    def __init__(self, cloud: MemoryCloud) -> None:
        self.cloud = cloud

    def offers(self, need: Need) -> Sequence[Offer]:  # noqa: ARG002 (more than fits is allowed, and the stock is small)
        return self.cloud.offers()

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        return self.cloud.create(spec, tag)

    def get(self, machine_id: str) -> Machine:
        return self.cloud.get(machine_id)

    def list(self) -> Sequence[Machine]:
        return self.cloud.list()

    def delete(self, machine_id: str) -> None:
        self.cloud.delete(machine_id)

    def stop(self, machine_id: str) -> None:
        self.cloud.stop(machine_id)

    def start(self, machine_id: str) -> None:
        self.cloud.start(machine_id)

    def stopped_usd_per_hour(self, machine: Machine) -> Decimal:
        return (machine.usd_per_hour or Decimal(0)) * self.cloud.stopped_share


_clouds: dict[str, MemoryCloud] = {}
_clouds_lock = threading.Lock()


def cloud(name: str = "default") -> MemoryCloud:
    """The cloud of that name in this process; made on first use."""
    with _clouds_lock:
        return _clouds.setdefault(name, MemoryCloud())
