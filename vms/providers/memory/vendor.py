"""`MemoryCloud`: one account at a vendor that forgets nothing."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from vms.providers import base
from vms.providers.balance import Balance
from vms.providers.base import Machine, MachineSpec, MachineState, Offer, Sizes
from vms.providers.memory.faults import Fault, Switch
from vms.providers.memory.machines import Machines, Record
from vms.providers.memory.stock import STOCK

SIZES = Sizes(
    vcpus=range(2, 65, 2), ram_gb=(2, 4, 6, 8, 10, *range(16, 257, 16)), disk_gb=range(50, 2001, 50)
)


class MemoryCloud:
    """Thread-safe; every verb costs microseconds. Time passes only by `advance`, or by the `clock` that is given.

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
        self.stopped_share = stopped_share
        self.paid_in_usd = Decimal(1000)
        self.calls: Counter[str] = Counter()
        self._machines = Machines(boot_s, stop_s)
        self._clock = clock
        self._elapsed = 0.0
        self._lock = threading.RLock()
        self._random = random.Random(seed)  # noqa: S311 (repeatable faults, no secret)
        self._offers = {offer.offer_id: offer for offer in offers}
        self._switches: list[Switch] = []

    # The outside view.

    @property
    def now(self) -> float:
        """Simulated seconds since the cloud was made."""
        return self._elapsed + (self._clock() if self._clock else 0.0)

    @property
    def created_total(self) -> int:
        """How many machines were ever made."""
        return len(self.history)

    @property
    def history(self) -> Sequence[Record]:
        """Every machine ever made, oldest first."""
        return self._settled().history

    @property
    def max_alive_per_vm(self) -> int:
        """The most machines one VM (whatever the attempt) ever had alive at one moment, dying ones included."""
        return self._settled().max_alive_per_vm

    @property
    def max_made_per_tag(self) -> int:
        """The most machines ever made for one tag: more than 1 means an attempt was ordered twice."""
        return self._settled().max_made_per_tag

    def alive(self, installation: str = "") -> Sequence[Record]:
        """The machines that are paid for now, hidden and dying ones included; of one installation, or of all."""
        with self._lock:
            records = list(self._settled().alive.values())
        return [
            record
            for record in records
            if not installation or base.installation_of(record.tag) == installation
        ]

    # The hands of fate.

    def advance(self, seconds: float) -> None:
        """Let time pass; everything that falls due happens, in order."""
        with self._lock:
            self._elapsed += seconds
            self._settled()

    def add_offer(self, offer: Offer, *, stock: int | None = None) -> None:
        """Sell `offer` from now on, or change it. `stock` more machines at a time; None without end."""
        with self._lock:
            self._offers[offer.offer_id] = offer
            self.set_stock(offer.offer_id, stock)

    def set_stock(self, offer_id: str, stock: int | None) -> None:
        """How many more machines of the offer can be bought (one that ends comes back to stock); None without end."""
        with self._lock:
            self._machines.stock.pop(offer_id, None)
            if stock is not None:
                self._machines.stock[offer_id] = stock

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
        switch = Switch(
            fault,
            verbs=frozenset(verbs) or fault.verbs,
            times=times,
            until=None if for_s is None else self.now + for_s,
            offer_id=offer_id,
            tag=tag,
            probability=probability,
            seconds=seconds,
            lists=lists,
            retry_after=retry_after,
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
            for machine_id in list(self._machines.hidden):
                self._machines.reveal(machine_id)

    def plant(self, name: str, *, state: MachineState = MachineState.RUNNING) -> Machine:
        """A machine that was not ordered through this seam: a stranger's, or one left over from before."""
        with self._lock:
            machines = self._settled()
            tag = name if base.installation_of(name) else ""
            machine = Machine(machines.new_id(), tag, state, ip=machines.new_ip(), raw={"name": name})
            machines.land(machines.draft(tag, "", machine))
            return machine

    def vanish(self, machine_id: str) -> None:
        """The vendor loses the machine: gone without an order."""
        with self._lock:
            self._settled().end(machine_id)

    def set_state(self, machine_id: str, state: MachineState) -> None:
        """The machine changes by itself (STOPPED: it shut itself down) and stays so until the next order."""
        with self._lock:
            machines = self._settled()
            machines.set_state(machines.alive[machine_id], state)

    # The provider's verbs; see base.Provider.

    def offers(self) -> Sequence[Offer]:
        with self._lock:
            self._enter("offers")
            return [offer for offer in self._offers.values() if self._in_stock(offer.offer_id)]

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        with self._lock:
            fired = self._enter("create", spec.offer.offer_id, tag)
            self._check(spec)
            machines = self._machines
            machine = Machine(
                machines.new_id(),
                tag,
                MachineState.PENDING,
                usd_per_hour=spec.usd_per_hour,
                raw={"name": tag},
            )
            record = machines.draft(tag, spec.offer.offer_id, machine)
            lost = next((switch for switch in fired if switch.fault.loses_answer), None)
            if lost is None or lost.fault is Fault.LOST_MADE:
                self._land(record, fired)
            elif lost.fault is Fault.LOST_LATE:
                machines.at(lost.seconds, lambda: self._land(record, fired))
            if lost is not None:
                raise base.OutcomeUnknown(f"create: no answer to the order of {tag}")
            return record.machine

    def get(self, machine_id: str) -> Machine:
        with self._lock:
            return self._find("get", machine_id).machine

    def list(self) -> Sequence[Machine]:
        with self._lock:
            self._enter("list")
            answer = tuple(self._machines.shown.values())
            self._machines.count_list()
            return answer

    def delete(self, machine_id: str) -> None:
        with self._lock:
            record = self._settled().alive.get(machine_id)
            fired = self._enter("delete", *_names(record))
            if record is not None and record.delete_ordered_at is None:
                slow = next((switch for switch in fired if switch.fault is Fault.SLOW_DELETE), None)
                self._machines.order_end(record, slow.seconds if slow else None)
            if any(switch.fault is Fault.LOST_DELETE for switch in fired):
                raise base.Unavailable("delete: no answer")

    def stop(self, machine_id: str) -> None:
        with self._lock:
            record = self._find("stop", machine_id)
            if record.machine.state not in {MachineState.STOPPING, MachineState.STOPPED}:
                self._machines.halt(record)

    def start(self, machine_id: str) -> None:
        with self._lock:
            record = self._find("start", machine_id)
            if record.delete_ordered_at is not None:
                raise base.NotFound(f"{machine_id} is being deleted")
            if record.machine.state not in {MachineState.PENDING, MachineState.RUNNING}:
                self._machines.boot(record)

    def balance(self) -> Balance:
        """What is left of `paid_in_usd` after all machines ever made, each at its running price."""
        with self._lock:
            self._enter("balance")
            now, spent, burn = self.now, Decimal(0), Decimal(0)
            for record in self._machines.history:
                price = record.machine.usd_per_hour or Decimal(0)
                ended_at = now if record.gone_at is None else record.gone_at
                spent += price * Decimal(str(ended_at - record.created_at)) / 3600
                burn += price if record.gone_at is None else 0
            return Balance(self.paid_in_usd - spent, burn)

    def _settled(self) -> Machines:
        with self._lock:
            self._machines.settle(self.now)
            return self._machines

    def _enter(self, verb: str, offer_id: str = "", tag: str = "") -> Sequence[Switch]:
        """Count the call and let time pass. Then raise what is switched on, or return the faults that spoil the result."""
        self.calls[verb] += 1
        self._settled()
        fired = []
        for switch in self._switches:
            if switch.fires(verb, offer_id, tag, self.now, self._random):
                if error := switch.error(verb):
                    raise error
                fired.append(switch)
        return fired

    def _find(self, verb: str, machine_id: str) -> Record:
        record = self._settled().alive.get(machine_id)
        self._enter(verb, *_names(record))
        if record is None:
            raise base.NotFound(f"no machine {machine_id}")
        return record

    def _in_stock(self, offer_id: str) -> bool:
        return self._machines.stock.get(offer_id, 1) > 0

    def _check(self, spec: MachineSpec) -> None:
        offer = self._offers.get(spec.offer.offer_id)
        if offer is None or not self._in_stock(offer.offer_id):
            raise base.NoCapacity(f"{spec.offer.offer_id} is sold out")
        ordered = {
            "gpus": (spec.gpus, range(offer.max_gpus + 1), offer.max_gpus),
            "vcpus": (spec.vcpus, SIZES.vcpus, offer.max_vcpus),
            "ram_gb": (spec.ram_gb, SIZES.ram_gb, offer.max_ram_gb),
            "disk_gb": (spec.disk_gb, SIZES.disk_gb, offer.max_disk_gb),
        }
        for name, (value, ladder, most) in ordered.items():
            if value not in ladder or value > most:
                raise base.Rejected(f"{offer.offer_id} does not sell {name}={value}")
        if (spec.tcp_ports or spec.udp_ports) and not offer.has_public_ports:
            raise base.Rejected(f"{offer.offer_id} has no public ports")

    def _land(self, record: Record, fired: Sequence[Switch]) -> None:
        machines, machine_id = self._machines, record.machine_id
        for switch in fired:
            match switch.fault:
                case Fault.HIDDEN:
                    machines.hidden[machine_id] = switch.lists
                case Fault.NEVER_RUNS:
                    record.boots = False
                case Fault.NEVER_IP:
                    record.gets_ip = False
                case Fault.VANISHES:
                    machines.at(switch.seconds, lambda: machines.end(machine_id))
                case Fault.STOPS:
                    machines.at(switch.seconds, lambda: machines.set_state(record, MachineState.STOPPED))
        machines.land(record)
        machines.boot(record)


def _names(record: Record | None) -> tuple[str, str]:
    return (record.offer_id, record.tag) if record else ("", "")
