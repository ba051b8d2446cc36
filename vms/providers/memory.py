"""A cloud without hardware: for the reconciler's tests, the seeded simulation and the benches.

`MemoryCloud` stands for the vendor: it lives outside the control plane that is tested, survives its deaths and is shared by many threads.
`MemoryProvider` is the adapter. Time is simulated: it passes only by `advance` (or by the `clock` that is given).
Several processes share one cloud over loopback through `memory_server`.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from typing import ClassVar

from vms.providers import base
from vms.providers.base import Machine, MachineSpec, MachineState, Need, Offer, Sizes
from vms.providers.memory_faults import Fault, Switch
from vms.providers.memory_stock import STOCK


@dataclass(slots=True)
class Record:
    """One machine as its vendor's accounts know it. Times in simulated seconds; `gone_at` None while it is paid for."""

    machine: Machine
    offer_id: str
    created_at: float
    gone_at: float | None = None
    delete_ordered_at: float | None = None
    boots: bool = True
    gets_ip: bool = True
    # Grows with every stop, start and boot ordered: an older timeline's events are then void.
    generation: int = 0

    @property
    def machine_id(self) -> str:
        return self.machine.machine_id

    @property
    def tag(self) -> str:
        return self.machine.tag


class MemoryCloud:
    """One account at a vendor that forgets nothing. Thread-safe; every verb costs microseconds.

    `boot_s` and `stop_s` are simulated seconds from the order to the state. `stopped_share` is the part of a
    running machine's price that a stopped one costs. The same `seed` and the same order of calls give the same faults.
    """

    def __init__(
        self,
        *,
        offers: Iterable[Offer] = STOCK,
        seed: int = 0,
        boot_s: float = 0,
        stop_s: float = 0,
        stopped_share: Decimal = Decimal("0.1"),
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.boot_s = boot_s
        self.stop_s = stop_s
        self.stopped_share = stopped_share
        self.calls: Counter[str] = Counter()
        self.history: list[Record] = []
        self.max_alive_per_vm = 0
        self.max_made_per_tag = 0
        self._clock = clock
        self._elapsed = 0.0
        self._lock = threading.RLock()
        self._random = random.Random(seed)  # noqa: S311 (repeatable faults, no secret)
        self._offers = {offer.offer_id: offer for offer in offers}
        self._stock: dict[str, int] = {}
        self._switches: list[Switch] = []
        self._records: dict[str, Record] = {}
        # What `list` answers, kept ready: it must stay cheap with thousands of machines.
        self._shown: dict[str, Machine] = {}
        self._hidden: dict[str, int] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count(1)
        self._made_per_tag: Counter[str] = Counter()
        self._alive_per_vm: Counter[str] = Counter()

    # The outside view and the hands of fate.

    @property
    def now(self) -> float:
        """Simulated seconds since the cloud was made."""
        return self._elapsed + (self._clock() if self._clock else 0.0)

    def advance(self, seconds: float) -> None:
        """Let time pass; everything that falls due happens, in order."""
        with self._lock:
            self._elapsed += seconds
            self._settle()

    def alive(self, installation: str = "") -> list[Record]:
        """The machines that are being paid for now, hidden and dying ones included; of one installation, or of all."""
        with self._lock:
            self._settle()
            return [
                record
                for record in self._records.values()
                if not installation or base.installation_of(record.tag) == installation
            ]

    @property
    def created_total(self) -> int:
        """How many machines were ever made."""
        with self._lock:
            self._settle()
            return len(self.history)

    def add_offer(self, offer: Offer, *, stock: int | None = None) -> None:
        """Sell `offer` from now on, or change it. `stock` machines at a time; None without end."""
        with self._lock:
            self._offers[offer.offer_id] = offer
            self.set_stock(offer.offer_id, stock)

    def set_stock(self, offer_id: str, stock: int | None) -> None:
        """How many more machines of the offer can be bought; None without end."""
        with self._lock:
            self._stock.pop(offer_id, None)
            if stock is not None:
                self._stock[offer_id] = stock

    def remove_offer(self, offer_id: str) -> None:
        """Stop selling it; machines live on. An order that still names it finds no capacity."""
        with self._lock:
            del self._offers[offer_id]

    def switch_on(
        self,
        fault: Fault,
        *,
        verbs: Iterable[str] = (),
        times: int | None = 1,
        for_s: float | None = None,
        offer_id: str = "",
        tag: str = "",
        probability: float = 1.0,
        seconds: float = 0,
        lists: int = 0,
        retry_after: float | None = None,
    ) -> Switch:
        """Make something go wrong `times` times (None: for ever), at the longest for `for_s` simulated seconds.

        `verbs` defaults to the fault's own (see `Fault`). `offer_id` and `tag` (a prefix) narrow it down. `seconds`, `lists` and
        `retry_after` mean what the fault says they mean.
        """
        until = None if for_s is None else self.now + for_s
        switch = Switch(
            fault,
            frozenset(verbs) or fault.verbs,
            times,
            until,
            offer_id,
            tag,
            probability,
            seconds,
            lists,
            retry_after,
        )
        with self._lock:
            self._switches.append(switch)
        return switch

    def switch_off(self, switch: Switch) -> None:
        """End one fault; harmless when it has ended by itself."""
        with self._lock:
            self._switches = [other for other in self._switches if other is not switch]

    def heal(self) -> None:
        """End all faults and show what was hidden. Machines keep the fate they were made with."""
        with self._lock:
            self._switches.clear()
            for machine_id in list(self._hidden):
                self._reveal(machine_id)

    def plant(
        self, name: str, *, machine_id: str = "", state: MachineState = MachineState.RUNNING
    ) -> Machine:
        """A machine that was not ordered through this seam: a stranger's, or one left over from before."""
        with self._lock:
            self._settle()
            tag = name if base.installation_of(name) else ""
            machine = Machine(machine_id or self._new_id(), tag, state, ip=self._new_ip(), raw={"name": name})
            self._add(Record(machine, "", self.now))
            return machine

    def vanish(self, machine_id: str) -> None:
        """The vendor loses the machine: gone without an order."""
        with self._lock:
            self._end(machine_id)

    def set_state(self, machine_id: str, state: MachineState) -> None:
        """The machine changes by itself and stays so until the next order."""
        with self._lock:
            self._settle()
            record = self._records[machine_id]
            record.generation += 1
            self._change(record, state=state)

    # The provider's verbs.

    def offers(self) -> list[Offer]:
        with self._lock:
            self._enter("offers")
            return [offer for offer_id, offer in self._offers.items() if self._stock.get(offer_id, 1) > 0]

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        offer_id = spec.offer.offer_id
        with self._lock:
            fired = self._enter("create", offer_id, tag)
            self._check(spec)
            record = self._make(spec, tag)
            for switch in fired:
                self._spoil(record, switch)
            lost = next((switch for switch in fired if switch.fault.loses_answer), None)
            if lost is None or lost.fault is Fault.LOST_MADE:
                self._land(record)
            elif lost.fault is Fault.LOST_LATE:
                self._at(lost.seconds, lambda: self._land(record))
            if lost is not None:
                raise base.OutcomeUnknown(f"no answer to the order of {tag}")
            return record.machine

    def get(self, machine_id: str) -> Machine:
        with self._lock:
            return self._find("get", machine_id).machine

    def list(self) -> Sequence[Machine]:
        with self._lock:
            self._enter("list")
            answer = list(self._shown.values())
            for machine_id, lists in list(self._hidden.items()):
                if lists > 1:
                    self._hidden[machine_id] = lists - 1
                else:
                    self._reveal(machine_id)
            return answer

    def delete(self, machine_id: str) -> None:
        with self._lock:
            record = self._records.get(machine_id)
            fired = self._enter("delete", *((record.offer_id, record.tag) if record else ()))
            if machine_id not in self._records or record is None:
                return
            if record.delete_ordered_at is None:
                record.delete_ordered_at = self.now
                record.generation += 1
                slow = next((switch for switch in fired if switch.fault is Fault.SLOW_DELETE), None)
                if slow is None:
                    self._end(machine_id)
                else:
                    self._change(record, state=MachineState.STOPPING)
                    self._at(slow.seconds, lambda: self._end(machine_id))
            if any(switch.fault is Fault.LOST_DELETE for switch in fired):
                raise base.Unavailable("no answer to the delete")

    def stop(self, machine_id: str) -> None:
        with self._lock:
            record = self._find("stop", machine_id)
            if record.machine.state is not MachineState.STOPPED:
                self._change(record, state=MachineState.STOPPING)
                self._later(record, self.stop_s, state=MachineState.STOPPED)

    def start(self, machine_id: str) -> None:
        with self._lock:
            record = self._find("start", machine_id)
            if record.machine.state is not MachineState.RUNNING:
                self._boot(record)

    # The inside.

    def _enter(self, verb: str, offer_id: str = "", tag: str = "") -> list[Switch]:
        """Count the call, let due events happen, then raise the fault that is switched on or return those that spoil the result."""
        self.calls[verb] += 1
        self._settle()
        fired = []
        for switch in list(self._switches):
            if not switch.fires(verb, offer_id, tag, self.now, self._random):
                continue
            if switch.is_spent(self.now):
                self.switch_off(switch)
            if error := switch.error(verb):
                raise error
            fired.append(switch)
        return fired

    def _find(self, verb: str, machine_id: str) -> Record:
        record = self._records.get(machine_id)
        self._enter(verb, *((record.offer_id, record.tag) if record else ()))
        if machine_id not in self._records:
            raise base.NotFound(f"no machine {machine_id}")
        return self._records[machine_id]

    def _check(self, spec: MachineSpec) -> None:
        offer = self._offers.get(spec.offer.offer_id)
        if offer is None or self._stock.get(offer.offer_id, 1) < 1:
            raise base.NoCapacity(f"{spec.offer.offer_id} is sold out")
        sizes = MemoryProvider.sizes
        ordered = {
            "gpus": (spec.gpus, range(offer.max_gpus + 1), offer.max_gpus),
            "vcpus": (spec.vcpus, sizes.vcpus, offer.max_vcpus),
            "ram_gb": (spec.ram_gb, sizes.ram_gb, offer.max_ram_gb),
            "disk_gb": (spec.disk_gb, sizes.disk_gb, offer.max_disk_gb),
        }
        for name, (value, ladder, most) in ordered.items():
            if value not in ladder or value > most:
                raise base.Rejected(f"{name}={value} is not sold by {offer.offer_id}")
        if (spec.tcp_ports or spec.udp_ports) and not offer.has_public_ports:
            raise base.Rejected(f"{offer.offer_id} has no public ports")

    def _make(self, spec: MachineSpec, tag: str) -> Record:
        machine = Machine(
            self._new_id(), tag, MachineState.PENDING, usd_per_hour=spec.usd_per_hour, raw={"name": tag}
        )
        return Record(machine, spec.offer.offer_id, self.now)

    def _spoil(self, record: Record, switch: Switch) -> None:
        machine_id = record.machine_id
        if switch.fault is Fault.HIDDEN:
            self._hidden[machine_id] = switch.lists
        elif switch.fault is Fault.NEVER_RUNS:
            record.boots = False
        elif switch.fault is Fault.NEVER_IP:
            record.gets_ip = False
        elif switch.fault is Fault.VANISHES:
            self._at(switch.seconds, lambda: self._end(machine_id))
        elif switch.fault is Fault.STOPS:
            self._at(switch.seconds, lambda: self._stop_by_itself(machine_id))

    def _stop_by_itself(self, machine_id: str) -> None:
        record = self._records.get(machine_id)
        if record is not None and record.delete_ordered_at is None:
            record.generation += 1
            self._change(record, state=MachineState.STOPPED)

    def _land(self, record: Record) -> None:
        record.created_at = self.now
        self._add(record)
        self._boot(record)

    def _add(self, record: Record) -> None:
        machine_id, tag = record.machine_id, record.tag
        self._records[machine_id] = record
        self.history.append(record)
        if machine_id not in self._hidden:
            self._shown[machine_id] = record.machine
        if record.offer_id in self._stock:
            self._stock[record.offer_id] -= 1
        if match := base.TAG.match(tag):
            vm = f"{match['installation']}-{match['vm']}"
            self._made_per_tag[tag] += 1
            self._alive_per_vm[vm] += 1
            self.max_made_per_tag = max(self.max_made_per_tag, self._made_per_tag[tag])
            self.max_alive_per_vm = max(self.max_alive_per_vm, self._alive_per_vm[vm])

    def _end(self, machine_id: str) -> None:
        record = self._records.pop(machine_id, None)
        if record is None:
            return
        record.gone_at = self.now
        self._shown.pop(machine_id, None)
        self._hidden.pop(machine_id, None)
        if record.offer_id in self._stock:
            self._stock[record.offer_id] += 1
        if match := base.TAG.match(record.tag):
            self._alive_per_vm[f"{match['installation']}-{match['vm']}"] -= 1

    def _boot(self, record: Record) -> None:
        self._change(record, state=MachineState.PENDING)
        if record.boots:
            ip = (record.machine.ip or self._new_ip()) if record.gets_ip else ""
            self._later(record, self.boot_s, state=MachineState.RUNNING, ip=ip)

    def _later(self, record: Record, seconds: float, *, state: MachineState, ip: str | None = None) -> None:
        """Change the machine after `seconds`, unless another order or fate comes first."""
        record.generation += 1
        generation = record.generation

        def happen() -> None:
            if record.gone_at is None and record.generation == generation:
                self._change(record, state=state, ip=ip)

        self._at(seconds, happen)

    def _change(self, record: Record, *, state: MachineState, ip: str | None = None) -> None:
        record.machine = replace(record.machine, state=state, ip=record.machine.ip if ip is None else ip)
        if record.machine_id in self._shown:
            self._shown[record.machine_id] = record.machine

    def _reveal(self, machine_id: str) -> None:
        del self._hidden[machine_id]
        if machine_id in self._records:
            self._shown[machine_id] = self._records[machine_id].machine

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), happen))

    def _settle(self) -> None:
        while self._events and self._events[0][0] <= self.now:
            heapq.heappop(self._events)[2]()

    def _new_id(self) -> str:
        return f"m-{next(self._numbers):08d}"

    def _new_ip(self) -> str:
        number = next(self._numbers)
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class MemoryProvider(base.Provider, base.Suspendable):
    """The adapter to a `MemoryCloud`. Holds nothing of its own: make as many as you like."""

    kind: ClassVar[str] = "memory"
    sizes: ClassVar[Sizes] = Sizes(
        vcpus=range(2, 65, 2), ram_gb=(2, 4, 6, 8, 10, *range(16, 257, 16)), disk_gb=range(50, 2001, 50)
    )

    def __init__(self, cloud: MemoryCloud) -> None:
        self.cloud = cloud

    def offers(self, need: Need) -> list[Offer]:
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
