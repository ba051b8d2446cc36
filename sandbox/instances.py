"""One instance: what it holds, what it costs, how the vendor describes it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import Timer
from sandbox.faults import Fault
from sandbox.guests.guest import Guest
from sandbox.stock import Hostnode, Resources
from sandbox.validation import Order

RELEASED = "stoppeddisassociated"
STOPPED = ("stopped", RELEASED)


@dataclass(eq=False)
class Instance:
    """`status` is the vendor's string. `resources` is what was bought, `held` what of it is taken on the hostnode now.

    `carried` are the faults it was made with, by name.
    """

    id: str
    name: str
    order: Order
    hostnode: Hostnode
    resources: Resources
    held: Resources
    created_at: float
    ssh_key: str
    carried: dict[str, Fault]
    usd_per_hour: float
    status: str = "creating"
    ip_address: str = ""
    forwards: list[dict[str, int]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    has_public_ip: bool = False
    hidden_from_lists: int = 0
    is_gone: bool = False
    ssh_socket: socket.socket | None = None
    ssh_port: int | None = None
    guest: Guest | None = None
    timers: list[Timer] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, str]:
        """What a fault's match is compared with (its GPU: the first)."""
        return {"instance_id": self.id, **order_facts(self.order, self.hostnode)}

    @property
    def current_usd_per_hour(self) -> float:
        """What it costs now: the full rate unless released, then its disk."""
        return self.hostnode.hourly(self.held)

    def cancel_timers(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def close_socket(self) -> None:
        if self.ssh_socket is not None:
            self.ssh_socket.close()
            self.ssh_socket = None

    def as_detail(self) -> dict[str, Any]:
        """GET /instances/{id}: a bare object. Image, location, key and creation time are not told."""
        gpus = {name: {"count": count, "v0Name": name} for name, count in self.resources.gpus.items()}
        return {
            **self.as_flat(),
            "resources": {
                "vcpu_count": self.resources.vcpus,
                "ram_gb": self.resources.ram_gb,
                "storage_gb": self.resources.storage_gb,
                "gpus": gpus,
            },
            "rateHourly": round(self.usd_per_hour, 6),
        }

    def as_flat(self) -> dict[str, Any]:
        return {
            "type": "virtualmachine",
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "ipAddress": self.ip_address,
            "portForwards": self.forwards if self.ip_address else [],
        }

    def as_attributes(self) -> dict[str, Any]:
        return {
            "type": "virtualmachine",
            "id": self.id,
            "attributes": {"name": self.name, "status": self.status},
        }


def order_facts(order: Order, hostnode: Hostnode | None = None) -> dict[str, str]:
    facts = {"name": order.name, "gpu": next(iter(order.resources.gpus), "")}
    if hostnode is not None:
        return {**facts, "location_id": hostnode.location.id, "hostnode_id": hostnode.id}
    return {**facts, "location_id": order.location_id or "", "hostnode_id": order.hostnode_id or ""}
