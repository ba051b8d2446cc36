"""The organisation's machines: what a create, start, stop, modify and delete do, and what time does to them."""

from __future__ import annotations

import re
import socket
import uuid
from pathlib import Path

from sandbox.account import DELETED_AFTER_S, Account
from sandbox.addresses import Addresses, bound, bound_near
from sandbox.catalogue import DISPLAY_NAMES
from sandbox.clock import Callback, Clock
from sandbox.faults import MACHINE, Fault, Faults
from sandbox.guests.guest import Guests, GuestSpec
from sandbox.guests.relay import PORT
from sandbox.instances import RELEASED, STOPPED, Instance, order_facts
from sandbox.settings import Settings
from sandbox.stock import Hostnode, NoNodes, NoPublicIp, Resources, Stock
from sandbox.validation import Order

MINIMUM_BALANCE_USD = 1.0


class Refused(Exception):
    """The vendor's 4xx with a text; `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class LowBalance(Exception):
    """Less than the minimum is left."""


class Cloud:
    """All state of the sandbox. Used from one event loop only."""

    def __init__(self, *, settings: Settings, state_dir: Path, seed: str, balance_usd: float) -> None:
        self.clock = Clock()
        self.faults = Faults()
        self.addresses = Addresses()
        self.guests = Guests(state_dir)
        self._seed = seed
        self._made = 0
        self.held = 0  # requests that wait for their answer at this moment, because a fault wants it so
        self._initial_settings = settings
        self._initial_balance_usd = balance_usd
        self._begin()

    def _begin(self) -> None:
        self.settings = self._initial_settings
        self.stock = Stock()
        self.instances: dict[str, Instance] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.account = Account(self.clock, self._initial_balance_usd, self._out_of_money)

    def new_id(self) -> str:
        """The same ids in the same order for the same seed, never one twice."""
        self._made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._seed}/{self._made}"))

    async def hold(self, seconds: float) -> None:
        """Keeps a request waiting, on the simulated clock: moving it ends the wait."""
        self.held += 1
        try:
            await self.clock.sleep(seconds)
        finally:
            self.held -= 1

    async def reset(self) -> None:
        """Back to the start: no machines, no faults, first settings. Time and ids go on."""
        self.faults.clear()
        for instance in list(self.instances.values()):
            self.remove(instance)
        await self.clock.advance(0)
        self._begin()

    async def close(self) -> None:
        await self.reset()
        self.addresses.close()

    # -- create

    def create(self, order: Order, ssh_key: str) -> Instance:
        """Makes a machine; raises NoNodes, NoPublicIp, LowBalance, Refused."""
        if self.account.balance_usd < MINIMUM_BALANCE_USD:
            raise LowBalance
        hostnode = self._pick(order)
        carried = self._carried(order, hostnode)
        ports = self._ports(order, hostnode, remapped="port_remap" in carried)
        hostnode.take(order.resources)
        now = self.clock.now()
        instance = Instance(
            id=self.new_id(),
            name=order.name,
            order=order,
            hostnode=hostnode,
            resources=order.resources,
            held=order.resources,
            created_at=now,
            ssh_key=ssh_key,
            carried=carried,
            usd_per_hour=hostnode.hourly(order.resources),
            ports=ports,
            has_public_ip=order.dedicated_ip,
        )
        if order.dedicated_ip:
            hostnode.public_ips -= 1
        if hidden := carried.get("list_without_new"):
            instance.hidden_from_lists = int(hidden.number("lists", 3))
        self.instances[instance.id] = instance
        self._charge(now)
        self._begin_life(instance, now)
        self.clock.run_due()
        return instance

    def _pick(self, order: Order) -> Hostnode:
        if order.location_id is not None:
            return self.stock.find(order.location_id, order.resources, dedicated_ip=order.dedicated_ip)
        hostnode = self.stock.hostnodes.get(order.hostnode_id or "")
        if hostnode is None or not hostnode.fits(order.resources):
            raise NoNodes
        if order.dedicated_ip and hostnode.public_ips < 1:
            raise NoPublicIp
        return hostnode

    def _carried(self, order: Order, hostnode: Hostnode) -> dict[str, Fault]:
        facts = order_facts(order, hostnode)
        taken = {name: self.faults.take(name, **facts) for name in MACHINE}
        return {name: fault for name, fault in taken.items() if fault is not None}

    def _ports(self, order: Order, hostnode: Hostnode, *, remapped: bool) -> list[int]:
        """One external port per forward. A pinned hostnode honours what is asked, a location never does."""
        if order.dedicated_ip:
            return []
        wanted = [forward.external_port for forward in order.port_forwards]
        if order.hostnode_id is not None:
            unavailable = [port for port in wanted if port not in hostnode.ports]
            if unavailable or len(set(wanted)) < len(wanted):
                raise Refused(400, f"Port {(unavailable or wanted)[0]} is not available on hostnode")
        return hostnode.take_ports(wanted, as_asked=order.hostnode_id is not None and not remapped)

    def _begin_life(self, instance: Instance, now: float) -> None:
        settings = self.settings
        if "ip_never" not in instance.carried:
            self._later(instance, now + settings.ip_s, lambda at: self._give_address(instance, at))
        if "never_running" not in instance.carried:
            self._later(instance, now + settings.running_s, lambda at: self._runs(instance, at))
        if fault := instance.carried.get("stops_by_itself"):
            after_s = fault.number("after_s", 5)
            self._later(instance, now + after_s, lambda at: self.stopped_by_itself(instance, at))
        if fault := instance.carried.get("vanished"):
            self._later(instance, now + fault.number("after_s", 5), lambda at: self.remove(instance, at))

    def _later(self, instance: Instance, due: float, callback: Callback) -> None:
        instance.timers.append(self.clock.at(due, callback))

    # -- what time does

    def _give_address(self, instance: Instance, at: float) -> None:
        """The address comes with nothing listening yet, as while a machine boots."""
        order, hostnode = instance.order, instance.hostnode
        is_dropped = "port_drop" in instance.carried or hostnode.location.city.drops_port_forwards
        forwards = [] if order.dedicated_ip or is_dropped else self._forwards(instance)
        if order.dedicated_ip:
            host = self.addresses.new()
            if self.settings.ssh_port == "auto" and self.addresses.may_have_port_22():
                instance.ssh_socket = bound(host, 22)
            else:
                instance.ssh_socket = bound(host, 0)
                forwards = [{"internal_port": 22, "external_port": instance.ssh_socket.getsockname()[1]}]
        else:
            host = self.addresses.of_hostnode(hostnode.number)
            for forward in forwards:
                if forward["internal_port"] == 22 and instance.ssh_socket is None:
                    instance.ssh_socket = bound_near(host, forward["external_port"])
                    forward["external_port"] = instance.ssh_socket.getsockname()[1]
        instance.ssh_port = instance.ssh_socket.getsockname()[1] if instance.ssh_socket else None
        instance.forwards, instance.ip_address = forwards, host
        self._boot_later(instance, at)

    def _forwards(self, instance: Instance) -> list[dict[str, int]]:
        return [
            {"internal_port": forward.internal_port, "external_port": port}
            for forward, port in zip(instance.order.port_forwards, instance.ports, strict=True)
        ]

    def _runs(self, instance: Instance, at: float) -> None:
        self._set_status(instance, "running", at)
        self._boot_later(instance, at)

    def _boot_later(self, instance: Instance, at: float) -> None:
        """Once it runs and has an address, whichever comes last. Without a way in, nothing needs to boot."""
        is_reachable = instance.ssh_port is not None and "ssh_refused" not in instance.carried
        if (
            instance.status == "running"
            and instance.ip_address
            and is_reachable
            and not instance.order.is_windows
        ):
            self._later(instance, at + self.settings.ssh_s, lambda _at: self._boot(instance))

    async def _boot(self, instance: Instance) -> None:
        await self.guests.prepare()
        if instance.status != "running":
            return
        if instance.guest is None:
            instance.guest = self.guests.make(_guest_spec(instance), lambda: self.stopped_by_itself(instance))
        sock = instance.ssh_socket or bound(instance.ip_address, instance.ssh_port or 0)
        instance.ssh_socket = None
        guest = instance.guest
        await guest.boot(sock, self._web(instance))
        if instance.status == "running":
            due = self.clock.now() + self.settings.cloud_init_s
            self._later(instance, due, lambda _at: guest.finish_cloud_init())

    def _web(self, instance: Instance) -> socket.socket | None:
        """Port 47989 of an address of its own; None where several machines share one, or the port is taken."""
        if not instance.order.dedicated_ip:
            return None
        try:
            return bound(instance.ip_address, PORT)
        except OSError:
            return None

    def stopped_by_itself(self, instance: Instance, at: float | None = None) -> None:
        """Power-off from inside, or a host that reclaims it: no stopping in between."""
        if instance.status not in STOPPED and not instance.is_gone:
            self._halt(instance, self.clock.now() if at is None else at)

    def _halt(self, instance: Instance, at: float) -> None:
        instance.cancel_timers()
        instance.close_socket()
        if instance.guest is not None:
            self.clock.start(instance.guest.stop())
        instance.status = self.settings.stopped_status
        if instance.status == RELEASED:
            self._release(instance)
        self._charge(at)

    def _release(self, instance: Instance) -> None:
        """Stopped and disassociated: only the disk stays; address and ports are somebody else's now."""
        instance.hostnode.give(instance.held.compute)
        instance.held = instance.resources.disk
        instance.hostnode.give_ports(instance.ports)
        if instance.has_public_ip:
            instance.hostnode.public_ips += 1
        instance.has_public_ip = False
        instance.ports, instance.forwards, instance.ip_address = [], [], ""

    def _set_status(self, instance: Instance, status: str, at: float) -> None:
        instance.status = status
        self._charge(at)

    def _charge(self, at: float) -> None:
        self.account.charge(sum(each.current_usd_per_hour for each in self.instances.values()), at)

    def _out_of_money(self, at: float) -> None:
        for instance in list(self.instances.values()):
            self.stopped_by_itself(instance, at)
        self.clock.at(at + DELETED_AFTER_S, self._still_out_of_money)

    def _still_out_of_money(self, at: float) -> None:
        since = self.account.below_zero_since
        if since is not None and at - since >= DELETED_AFTER_S:
            for instance in list(self.instances.values()):
                self.remove(instance, at)

    # -- start, stop, modify, delete

    def get(self, instance_id: str) -> Instance:
        """Raises Refused 404."""
        instance = self.instances.get(instance_id)
        if instance is None:
            raise Refused(404, "Virtual machine not found")
        return instance

    def listed(self) -> list[Instance]:
        """What a list shows; a new machine hidden by a fault is one list nearer to being shown."""
        shown = []
        for instance in self.instances.values():
            if instance.hidden_from_lists > 0:
                instance.hidden_from_lists -= 1
            else:
                shown.append(instance)
        return shown

    def start(self, instance: Instance) -> None:
        """Raises Refused, NoNodes, NoPublicIp, LowBalance."""
        if instance.status not in STOPPED:
            state = "already running" if instance.status == "running" else instance.status
            raise Refused(409, f"Virtual machine is {state}, it must be stopped to be started")
        if self.account.balance_usd < MINIMUM_BALANCE_USD:
            raise LowBalance
        if self.faults.take("start_refused", **instance.facts):
            raise NoNodes
        if instance.status == RELEASED:
            self._take_again(instance)
        now = self.clock.now()
        self._set_status(instance, "starting", now)
        if not instance.ip_address:
            self._later(instance, now + self.settings.ip_s, lambda at: self._give_address(instance, at))
        self._later(instance, now + self.settings.start_s, lambda at: self._runs(instance, at))
        self.clock.run_due()

    def _take_again(self, instance: Instance) -> None:
        hostnode, order = instance.hostnode, instance.order
        if order.dedicated_ip and hostnode.public_ips < 1:
            raise NoPublicIp
        ports = (
            hostnode.take_ports([0] * len(order.port_forwards), as_asked=False)
            if not order.dedicated_ip
            else []
        )
        try:
            hostnode.take(instance.resources.compute)
        except NoNodes:
            hostnode.give_ports(ports)
            raise
        hostnode.public_ips -= int(order.dedicated_ip)
        instance.held = instance.resources
        instance.has_public_ip, instance.ports = order.dedicated_ip, ports

    def stop(self, instance: Instance) -> None:
        """Raises Refused."""
        if instance.status not in ("running", "starting"):
            raise Refused(409, f"Virtual machine is {instance.status}, it must be running to be stopped")
        instance.cancel_timers()
        now = self.clock.now()
        self._set_status(instance, "stopping", now)
        self._later(instance, now + self.settings.stop_s, lambda at: self._halt(instance, at))
        self.clock.run_due()

    def modify(self, instance: Instance, wanted: Resources) -> None:
        """Resizes a stopped machine; raises Refused, NoNodes."""
        if instance.status not in STOPPED:
            raise Refused(400, "Virtual machine must be stopped to be modified")
        if wanted.storage_gb < instance.resources.storage_gb:
            raise Refused(400, "Storage can only be increased")
        if instance.resources.gpus and not wanted.gpus:
            raise Refused(400, "GPUs cannot be removed from this virtual machine")
        after = wanted.disk if instance.status == RELEASED else wanted
        instance.hostnode.give(instance.held)
        try:
            instance.hostnode.take(after)
        except NoNodes:
            instance.hostnode.take(instance.held)
            raise
        instance.held = after
        instance.resources = wanted
        instance.usd_per_hour = instance.hostnode.hourly(wanted)
        self._charge(self.clock.now())

    def delete(self, instance: Instance) -> None:
        """Repeated while it is being deleted, it says so again and changes nothing."""
        if instance.status == "deleting":
            return
        fault = self.faults.take("delete_slow", **instance.facts)
        delay_s = fault.number("seconds", 30) if fault else self.settings.delete_s
        instance.cancel_timers()
        now = self.clock.now()
        self._set_status(instance, "deleting", now)
        self._later(instance, now + delay_s, lambda at: self.remove(instance, at))
        self.clock.run_due()

    def remove(self, instance: Instance, at: float | None = None) -> None:
        """Gone: everything it held is free again."""
        if instance.is_gone:
            return
        instance.cancel_timers()
        instance.close_socket()
        if instance.guest is not None:
            self.clock.start(instance.guest.destroy())
        instance.hostnode.give(instance.held)
        instance.hostnode.give_ports(instance.ports)
        instance.hostnode.public_ips += int(instance.has_public_ip)
        instance.is_gone = True
        del self.instances[instance.id]
        self._charge(self.clock.now() if at is None else at)


def _guest_spec(instance: Instance) -> GuestSpec:
    gpu = next(iter(instance.resources.gpus), None)
    return GuestSpec(
        hostname=re.sub(r"[^a-z0-9]+", "-", instance.name.lower()).strip("-")[:63] or "guest",
        ssh_key=instance.ssh_key,
        cloud_init=instance.order.cloud_init,
        gpu=DISPLAY_NAMES[gpu] if gpu else None,
        ignores_host_key="host_key_ignored" in instance.carried,
        remakes_host_keys="host_keys_remade" in instance.carried,
        accepts_keys="ssh_auth_fails" not in instance.carried,
    )
