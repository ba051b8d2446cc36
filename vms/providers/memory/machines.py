"""The machines of a `MemoryCloud` and their timeline. Not thread-safe: the cloud holds the lock."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from vms.providers import base
from vms.providers.base import Machine, MachineState


@dataclass(slots=True)
class Record:
    """One machine as its vendor's books know it. Times in simulated seconds; `gone_at` None while it is paid for."""

    machine: Machine
    offer_id: str
    created_at: float
    gone_at: float | None = None
    delete_ordered_at: float | None = None
    boots: bool = True
    gets_ip: bool = True
    # Grows with every order and every turn of fate: what an older one had planned is then void.
    generation: int = 0

    @property
    def machine_id(self) -> str:
        return self.machine.machine_id

    @property
    def tag(self) -> str:
        return self.machine.tag


class Machines:
    """Every machine ever made, those alive, those a list shows, and what will happen to them when."""

    def __init__(self, boot_s: float, stop_s: float) -> None:
        self.boot_s = boot_s
        self.stop_s = stop_s
        self.history: list[Record] = []
        self.alive: dict[str, Record] = {}
        # What a list answers, kept ready: it must stay cheap with thousands of machines.
        self.shown: dict[str, Machine] = {}
        # Machine id to how many more lists leave it out.
        self.hidden: dict[str, int] = {}
        self.stock: dict[str, int] = {}
        self.max_alive_per_vm = 0
        self.max_made_per_tag = 0
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count(1)
        self._made_per_tag: Counter[str] = Counter()
        self._alive_per_vm: Counter[str] = Counter()

    def settle(self, now: float) -> None:
        """Let everything happen that falls due until `now`, in order, each at its own moment."""
        while self._events and self._events[0][0] <= now:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        self._now = now

    def at(self, seconds: float, happen: Callable[[], None]) -> None:
        """Plan something for `seconds` from now; 0 is the next look."""
        heapq.heappush(self._events, (self._now + seconds, next(self._numbers), happen))

    def draft(self, tag: str, offer_id: str, machine: Machine) -> Record:
        """A machine that is not there yet."""
        return Record(replace(machine, tag=tag), offer_id, self._now)

    def land(self, record: Record) -> None:
        """The machine is there, and paid for from now on."""
        machine_id, tag = record.machine_id, record.tag
        record.created_at = self._now
        self.alive[machine_id] = record
        self.history.append(record)
        if machine_id not in self.hidden:
            self.shown[machine_id] = record.machine
        if record.offer_id in self.stock:
            self.stock[record.offer_id] -= 1
        if vm := _vm_of(tag):
            self._made_per_tag[tag] += 1
            self._alive_per_vm[vm] += 1
            self.max_made_per_tag = max(self.max_made_per_tag, self._made_per_tag[tag])
            self.max_alive_per_vm = max(self.max_alive_per_vm, self._alive_per_vm[vm])

    def end(self, machine_id: str) -> None:
        """The machine is gone; harmless when it was."""
        record = self.alive.pop(machine_id, None)
        if record is None:
            return
        record.gone_at = self._now
        self.shown.pop(machine_id, None)
        self.hidden.pop(machine_id, None)
        if record.offer_id in self.stock:
            self.stock[record.offer_id] += 1
        if vm := _vm_of(record.tag):
            self._alive_per_vm[vm] -= 1

    def order_end(self, record: Record, seconds: float | None) -> None:
        """Delete now, or with `seconds` that much later."""
        record.delete_ordered_at = self._now
        record.generation += 1
        if seconds is None:
            self.end(record.machine_id)
        else:
            self.change(record, MachineState.STOPPING)
            self.at(seconds, lambda: self.end(record.machine_id))

    def boot(self, record: Record) -> None:
        """PENDING now, RUNNING with an address after `boot_s`, as far as its fate allows."""
        self.change(record, MachineState.PENDING)
        record.generation += 1
        if record.boots:
            ip = (record.machine.ip or self.new_ip()) if record.gets_ip else ""
            self._later(record, self.boot_s, MachineState.RUNNING, ip)

    def halt(self, record: Record) -> None:
        """STOPPING now, STOPPED after `stop_s`."""
        self.change(record, MachineState.STOPPING)
        record.generation += 1
        self._later(record, self.stop_s, MachineState.STOPPED, record.machine.ip)

    def set_state(self, record: Record, state: MachineState) -> None:
        """A change by itself that holds until the next order. A machine that is being deleted goes on dying."""
        if record.gone_at is None and record.delete_ordered_at is None:
            record.generation += 1
            self.change(record, state)

    def change(self, record: Record, state: MachineState, ip: str | None = None) -> None:
        record.machine = replace(record.machine, state=state, ip=record.machine.ip if ip is None else ip)
        if record.machine_id in self.shown:
            self.shown[record.machine_id] = record.machine

    def count_list(self) -> None:
        """One list has been answered: hidden machines come nearer to being seen."""
        for machine_id, lists in list(self.hidden.items()):
            self.hidden[machine_id] = lists - 1
            if lists <= 1:
                self.reveal(machine_id)

    def reveal(self, machine_id: str) -> None:
        del self.hidden[machine_id]
        if machine_id in self.alive:
            self.shown[machine_id] = self.alive[machine_id].machine

    def new_id(self) -> str:
        return f"m-{next(self._numbers):08d}"

    def new_ip(self) -> str:
        number = next(self._numbers)
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

    def _later(self, record: Record, seconds: float, state: MachineState, ip: str) -> None:
        generation = record.generation

        def happen() -> None:
            if record.gone_at is None and record.generation == generation:
                self.change(record, state, ip)

        self.at(seconds, happen)


def _vm_of(tag: str) -> str:
    match = base.TAG.match(tag)
    return f"{match['installation']}-{match['vm']}" if match else ""
