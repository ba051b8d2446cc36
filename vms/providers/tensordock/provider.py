"""TensorDock v2 behind the seam: what its words mean to us."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from redaction.masks import redact
from vms.providers.address import usable_ip
from vms.providers.base import (
    TAG,
    Machine,
    MachineSpec,
    MachineState,
    Need,
    NoCapacity,
    NotFound,
    Offer,
    Provider,
    QuotaExceeded,
    Rejected,
    Sizes,
    Suspendable,
    Unavailable,
)
from vms.providers.tensordock.answers import ALREADY_GONE, Row, mapping, usd, whole
from vms.providers.tensordock.client import Client, Timeouts
from vms.providers.tensordock.offers import SIZES, offers_from
from vms.providers.tensordock.orders import SSH_USER, attributes_of

BASE_URL = "https://dashboard.tensordock.com/api/v2"

# Lower case, without blanks, dashes and underscores. The first five were seen live, the rest in clients only.
STATES: dict[str, MachineState] = {
    "running": MachineState.RUNNING,
    "starting": MachineState.PENDING,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.STOPPED,
    "stoppeddisassociated": MachineState.STOPPED,
    "creating": MachineState.PENDING,
    "pending": MachineState.PENDING,
    "provisioning": MachineState.PENDING,
    "queued": MachineState.PENDING,
    "online": MachineState.RUNNING,
    "active": MachineState.RUNNING,
    "deleting": MachineState.STOPPING,
}
GONE = frozenset({"deleted", "terminated"})
RELEASED = "stoppeddisassociated"
# The highest price of a GB of disk seen on the marketplace: what a released machine costs at most.
USD_PER_RELEASED_GB = Decimal("0.000075")


class TensorDockProvider(Provider, Suspendable):
    """One organisation's account, named by its API token (the v2 Bearer, not the Authorization ID)."""

    kind: ClassVar[str] = "tensordock"
    sizes: ClassVar[Sizes] = SIZES

    def __init__(
        self,
        token: str,
        base_url: str = BASE_URL,
        *,
        pace: Callable[[], None] = lambda: None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._client = Client(token, base_url, pace=pace, timeouts=timeouts)
        self._secrets = (token,)

    def offers(self, need: Need) -> Sequence[Offer]:
        """Two requests. Offers without GPU are left out where the need has one."""
        return [
            offer
            for offer in offers_from(*self._client.stock())
            if offer.max_gpus >= need.gpus and (not need.gpu_models or offer.gpu_model in need.gpu_models)
        ]

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        row = self._client.create(attributes_of(spec, tag))
        # The status of a create says "running" long before anything runs.
        return Machine(
            row["id"], tag, MachineState.PENDING, ssh_user=SSH_USER, raw=redact(row, self._secrets)
        )

    def get(self, machine_id: str) -> Machine:
        row = self._client.instance(machine_id)
        if _status(row) in GONE:
            raise NotFound(f"{machine_id} is {_status(row)}")
        return self._machine(row)

    def list(self) -> Sequence[Machine]:
        return [self._machine(row) for row in self._client.instances() if _status(row) not in GONE]

    def delete(self, machine_id: str) -> None:
        try:
            self._client.delete(machine_id)
        except NotFound:
            return
        except (Rejected, NoCapacity, QuotaExceeded) as refusal:
            if not ALREADY_GONE.search(str(refusal)):
                raise Unavailable(str(refusal)) from None

    def stop(self, machine_id: str) -> None:
        try:
            self._client.stop(machine_id)
        except (Rejected, NoCapacity, QuotaExceeded) as refusal:
            # Refused for its state, mostly; the texts vary, so the machine is asked.
            if self.get(machine_id).state not in {MachineState.STOPPED, MachineState.STOPPING}:
                raise Unavailable(str(refusal)) from None

    def start(self, machine_id: str) -> None:
        try:
            self._client.start(machine_id)
        except Rejected as refusal:
            if self.get(machine_id).state not in {MachineState.RUNNING, MachineState.PENDING}:
                raise Unavailable(str(refusal)) from None

    def stopped_usd_per_hour(self, machine: Machine) -> Decimal:
        """The full rate, unless the machine says that it released its GPU: whether v2's stop does is not documented."""
        if machine.usd_per_hour is None:
            raise ValueError("the machine's running price must be known")
        disk_gb = whole(mapping(machine.raw.get("resources")).get("storage_gb"))
        if _status(machine.raw) == RELEASED and disk_gb:
            return min(machine.usd_per_hour, disk_gb * USD_PER_RELEASED_GB)
        return machine.usd_per_hour

    def _machine(self, row: Row) -> Machine:
        name = str(row.get("name") or "")
        return Machine(
            machine_id=row["id"],
            tag=name if TAG.match(name) else "",
            state=STATES.get(_status(row), MachineState.UNKNOWN),
            ip=usable_ip(row.get("ipAddress")),
            ssh_port=_ssh_port(row.get("portForwards")),
            ssh_user=SSH_USER,
            usd_per_hour=usd(row.get("rateHourly")),
            raw=redact(row, self._secrets),
        )


def _status(row: Any) -> str:
    return re.sub(r"[\s_-]", "", str(row.get("status") or "")).lower()


def _ssh_port(forwards: Any) -> int:
    """The external port that leads to 22; the real one differs from the one asked for. A dedicated IP has no forward."""
    for forward in map(mapping, forwards if isinstance(forwards, list) else ()):
        external = whole(forward.get("external_port"))
        if whole(forward.get("internal_port")) == 22 and 0 < external < 65536:
            return external
    return 22
