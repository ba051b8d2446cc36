"""The adapter to a `MemoryCloud`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import ClassVar

from vms.providers.balance import Balance, Prepaid
from vms.providers.base import Machine, MachineSpec, Need, Offer, Provider, Sizes, Suspendable
from vms.providers.memory.vendor import SIZES, MemoryCloud


class MemoryProvider(Provider, Suspendable, Prepaid):
    """Holds nothing of its own: make as many as you like. `pace` is called before every verb."""

    kind: ClassVar[str] = "memory"
    needs_setup: ClassVar[bool] = False
    has_shell: ClassVar[bool] = False
    sizes: ClassVar[Sizes] = SIZES

    def __init__(self, cloud: MemoryCloud, *, pace: Callable[[], None] = lambda: None) -> None:
        self.cloud = cloud
        self._pace = pace

    def offers(self, need: Need) -> Sequence[Offer]:
        self._pace()
        return self.cloud.offers()

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        self._pace()
        return self.cloud.create(spec, tag)

    def get(self, machine_id: str) -> Machine:
        self._pace()
        return self.cloud.get(machine_id)

    def list(self) -> Sequence[Machine]:
        self._pace()
        return self.cloud.list()

    def delete(self, machine_id: str) -> None:
        self._pace()
        self.cloud.delete(machine_id)

    def stop(self, machine_id: str) -> None:
        self._pace()
        self.cloud.stop(machine_id)

    def start(self, machine_id: str) -> None:
        self._pace()
        self.cloud.start(machine_id)

    def stopped_usd_per_hour(self, machine: Machine) -> Decimal:
        if machine.usd_per_hour is None:
            raise ValueError("the machine's running price must be known")
        return machine.usd_per_hour * self.cloud.stopped_share

    def balance(self) -> Balance:
        self._pace()
        return self.cloud.balance()


_clouds: dict[str, MemoryCloud] = {}
_clouds_lock = threading.Lock()


def cloud(name: str = "default") -> MemoryCloud:
    """The cloud of that name in this process; made on first use."""
    with _clouds_lock:
        return _clouds.setdefault(name, MemoryCloud())
