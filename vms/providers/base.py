"""The provider seam: all a new author must read.

Three nouns are never mixed: an **offer** can be bought, a **machine** is what the provider runs, a **VM** is our
promise to a player (and unknown here). An adapter translates between one vendor and these nouns; it sees no database,
keeps no state that must survive, waits for nothing and decides nothing. The loop above decides, and asks again.

Every verb may be called from several threads and processes at once. Reads take at most 30 s, a create the 120 s its
vendor may need, everything else 60 s; what takes longer is started here and looked at later through `get` or `list`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar


class ProviderError(Exception):
    """What went wrong, named by the caller's next move. The text is shown to operators: never put a secret in it."""


class NoCapacity(ProviderError):
    """Sold out. Next move: the next offer; this offer cools down."""


class Unavailable(ProviderError):
    """The provider does not answer, or not sensibly. Next move: the same step, later (`retry_after` seconds, if known)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadCredentials(ProviderError):
    """The account's credentials are refused. Next move: pause the account, tell the operator, next offer."""


class QuotaExceeded(ProviderError):
    """The account may not buy more (balance, quota). Next move: as for BadCredentials."""


class Rejected(ProviderError):
    """This order will never be accepted. Next move: the next offer; with none left, fail with this reason."""


class NotFound(ProviderError):
    """No such machine. Next move: gone; success for delete, lost for get."""


class OutcomeUnknown(ProviderError):
    """The order may or may not have been carried out. Next move: never repeat it; look for the tag in `list()` first."""


class MachineState(StrEnum):
    """What a provider says of a machine. A word we do not know is UNKNOWN: in transition, never dead.

    STOPPING is also said of a machine whose delete is under way: it is listed (and paid for) until it is gone. A machine
    the vendor keeps showing as deleted is gone for us: NotFound, and not listed.
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an offer stands, in the vendor's words. Names are full English names; empty when the vendor is silent."""

    region: str
    city: str = ""
    state: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The legal sizes one can order: ascending values per resource. `whole` offers are bought as they are.

    With `whole`, the offer's own `max_*` are the size and its `usd_per_hour` the price; the ladders are not used.
    """

    vcpus: Sequence[int] = ()
    ram_gb: Sequence[int] = ()
    disk_gb: Sequence[int] = ()
    whole: bool = False

    @staticmethod
    def at_least(ladder: Sequence[int], floor: int) -> int | None:
        """The smallest legal value that is not below `floor`; None when the ladder ends before it."""
        return next((step for step in ladder if step >= floor), None)


@dataclass(frozen=True, slots=True)
class Need:
    """Floors of what a console needs. Memory and disk in whole GB. `gpus` 0 means none is wanted (and none is paid for).

    `gpu_models`: the vendor models that are good enough; empty means any. `tcp_ports`/`udp_ports` must be
    reachable under the same numbers from outside (Moonlight has no way to learn others).
    """

    vcpus: int = 0
    ram_gb: int = 0
    disk_gb: int = 0
    gpus: int = 0
    gpu_models: frozenset[str] = frozenset()
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be bought now: one kind of hardware at one place. Prices in USD per hour, exact decimals.

    `offer_id` is stable between two calls for the same hardware at the same place, and all that `create` needs to find it again
    together with `order` (opaque to everyone but the adapter, JSON-able, at most 2 kB). `max_gpus` 0 means it has no GPU;
    an order must take at least `min_gpus`.
    The price of a size is `usd_per_hour + gpus * usd_per_gpu + vcpus * usd_per_vcpu + ram_gb * usd_per_gb_ram + disk_gb * usd_per_gb_disk`
    plus `usd_per_dedicated_ip` where one is used.
    """

    offer_id: str
    place: Place
    gpu_model: str = ""
    min_gpus: int = 0
    max_gpus: int = 0
    max_vcpus: int = 0
    max_ram_gb: int = 0
    max_disk_gb: int = 0
    usd_per_hour: Decimal = Decimal(0)
    usd_per_gpu: Decimal = Decimal(0)
    usd_per_vcpu: Decimal = Decimal(0)
    usd_per_gb_ram: Decimal = Decimal(0)
    usd_per_gb_disk: Decimal = Decimal(0)
    usd_per_dedicated_ip: Decimal = Decimal(0)
    has_dedicated_ip: bool = False
    maps_ports_one_to_one: bool = False
    order: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_public_ports(self) -> bool:
        """Whether fixed public ports (Moonlight's) can be reached on a machine of this offer."""
        return self.has_dedicated_ip or self.maps_ports_one_to_one

    def price(
        self, *, gpus: int, vcpus: int, ram_gb: int, disk_gb: int, dedicated_ip: bool = False
    ) -> Decimal:
        """What a machine of this size costs while it runs, USD per hour, exact."""
        size = gpus * self.usd_per_gpu + vcpus * self.usd_per_vcpu
        size += ram_gb * self.usd_per_gb_ram + disk_gb * self.usd_per_gb_disk
        return self.usd_per_hour + size + (self.usd_per_dedicated_ip if dedicated_ip else 0)


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What is ordered: an offer in a legal size, and what the machine must know at its first boot.

    `ssh_public_key` is one authorized_keys line, `ssh_private_key` its other half, for tools that log in themselves. `ssh_host_key` is the
    private host key (PEM text) that the machine shall present; adapters without cloud-init leave it and set `pins_host_key = False`.
    `cloud_init` is extra user data (cloud-config). After `idle_stop_s` without a player it may stop itself, where the tool can; 0,
    where our agent is to judge that: never.
    """

    offer: Offer
    gpus: int
    vcpus: int
    ram_gb: int
    disk_gb: int
    ssh_public_key: str
    ssh_host_key: str
    ssh_host_public_key: str
    ssh_private_key: str = field(default="", repr=False)
    idle_stop_s: int = 0
    tcp_ports: tuple[int, ...] = ()
    udp_ports: tuple[int, ...] = ()
    cloud_init: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uses_dedicated_ip(self) -> bool:
        """Whether the order takes an address of its own: when it needs fixed ports and the host maps none one to one."""
        wants_ports = bool(self.tcp_ports or self.udp_ports)
        return wants_ports and self.offer.has_dedicated_ip and not self.offer.maps_ports_one_to_one

    @property
    def usd_per_hour(self) -> Decimal:
        """The price of exactly this order."""
        size = {"gpus": self.gpus, "vcpus": self.vcpus, "ram_gb": self.ram_gb, "disk_gb": self.disk_gb}
        return self.offer.price(**size, dedicated_ip=self.uses_dedicated_ip)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the provider runs. `tag` is "" for a machine that carries none of ours. `usd_per_hour` None when not told.

    `ip` is "" until known. `ssh_port` is the external port that reaches the machine's port 22. `raw` is for the operator: redacted,
    JSON-able, at most 16 kB. `failure`: the order was taken and then went wrong; what is left waits for its delete.
    """

    machine_id: str
    tag: str
    state: MachineState
    ip: str = ""
    ssh_port: int = 22
    ssh_user: str = "root"
    usd_per_hour: Decimal | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    failure: ProviderError | None = None


# installation (8 lower-case letters or digits) + VM (12) + attempt number: fits a vendor's name field, leads back to the row.
TAG = re.compile(r"^gamer-(?P<installation>[a-z0-9]{8})-(?P<vm>[a-z0-9]{12})-(?P<attempt>[0-9]{1,4})\Z")


def make_tag(installation: str, vm: str, attempt: int) -> str:
    """The name a machine carries at its provider. Raises ValueError when a part does not fit `TAG`."""
    tag = f"gamer-{installation}-{vm}-{attempt}"
    if not TAG.match(tag):
        raise ValueError(f"not a tag: {tag!r}")
    return tag


def installation_of(tag: str) -> str:
    """The installation a tag belongs to; "" for a name that is no tag of any installation."""
    match = TAG.match(tag)
    return match["installation"] if match else ""


class Provider(ABC):
    """One account at one vendor. Cheap to make; a connection pool is shared behind it where the vendor has HTTP."""

    kind: ClassVar[str]
    sizes: ClassVar[Sizes]
    pins_host_key: ClassVar[bool] = True
    # Whether setup must still make the machine a console (False where the vendor's tool delivers one).
    needs_setup: ClassVar[bool] = True
    # Whether PENDING may take most of an hour: what is made is waited for in CREATING, under the deadline of the kind.
    makes_slowly: ClassVar[bool] = False
    # Whether its machines answer SSH at all; those of a cloud without hardware do not.
    has_shell: ClassVar[bool] = True

    @abstractmethod
    def offers(self, need: Need) -> Sequence[Offer]:
        """What can be bought that could meet `need`; `Need()` asks for the whole stock.

        Called in the background every minute or so. Safe to repeat. The caller checks floors, ports and price again: an adapter may return
        more than fits, never less. Raises Unavailable, BadCredentials.
        """

    @abstractmethod
    def create(self, spec: MachineSpec, tag: str) -> Machine:
        """Order one machine named `tag`. Called at most once per tag. Returns as soon as the vendor has taken the order.

        NOT safe to repeat. Raises NoCapacity, QuotaExceeded, BadCredentials, Rejected, Unavailable (surely nothing was made) or
        OutcomeUnknown (time-out, connection lost, 5xx after the body was sent, an answer without an id).
        """

    @abstractmethod
    def get(self, machine_id: str) -> Machine:
        """One machine now. Safe to repeat. Raises NotFound, Unavailable, BadCredentials."""

    @abstractmethod
    def list(self) -> Sequence[Machine]:
        """All machines of the account, other installations' included, in one call where the vendor allows. Safe to repeat.

        A part must raise: absence is evidence. A row may lack what `get` tells (ip, port, price). Raises Unavailable, BadCredentials.
        """

    @abstractmethod
    def delete(self, machine_id: str) -> None:
        """Order the machine's end; returns before it is gone. Deleting a missing one succeeds. Safe to repeat.

        Raises Unavailable (also when the outcome is unknown: repeat it), BadCredentials.
        """


class Suspendable(ABC):
    """A provider whose machines can be stopped without losing their disk, and started again."""

    @abstractmethod
    def stop(self, machine_id: str) -> None:
        """Order a stop. Stopping a stopped machine succeeds. Safe to repeat. Raises NotFound, Unavailable, BadCredentials."""

    @abstractmethod
    def start(self, machine_id: str) -> None:
        """Order a start. Starting a running one succeeds. Safe to repeat.

        Raises NoCapacity, QuotaExceeded, NotFound, Unavailable, BadCredentials.
        """

    @abstractmethod
    def stopped_usd_per_hour(self, machine: Machine) -> Decimal:
        """What the machine costs while stopped, USD per hour; conservative where the vendor does not say. Asks nobody.

        `machine.usd_per_hour` must be known: where the vendor does not tell it, fill in the price that was bought (else ValueError).
        """
