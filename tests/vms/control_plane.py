"""A whole control plane in one process: simulated clock, memory cloud, reconciler and worker turning by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.db import connection

from accounts.models import User
from accounts.principal import Principal, policy
from emulators.models import EmulatorConfig, ProviderPreference
from emulators.services import seed
from tests.kept import kept
from tests.world import NOON, Clock
from vms import installation, services
from vms.models import VM, Attempt, ProviderAccount
from vms.providers.memory import MemoryCloud, MemoryProvider
from vms.reconcile.acting import Actor
from vms.reconcile.loop import Reconciler
from vms.services import Order

# When a turn has something to do again. Who holds a lease may come back at any time.
NEXT_DUE = """
    SELECT extract(epoch FROM least(
        (SELECT min(CASE WHEN lease_until IS NULL THEN next_look_at ELSE %(now)s END) FROM vms_vm WHERE next_look_at IS NOT NULL),
        (SELECT min(least(next_refresh_at, next_sweep_at)) FROM vms_provideraccount),
        (SELECT min(next_look_at) FROM billing_budgetwatch),
        (SELECT min(credit_look_at) FROM vms_installation)) - %(now)s)
"""
DALLAS = {"latitude": 32.7767, "longitude": -96.797}


@dataclass
class ControlPlane:
    """`turn` is one step of everything; `settle` turns until nothing is due for a while."""

    clock: Clock
    clouds: dict[int, MemoryCloud] = field(default_factory=dict)
    # Whether time may be passed over while nothing is due: not where something happens in real time as well.
    may_skip: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.rings = 0
        self.reconciler = Reconciler(clock=self.clock, open_provider=self.open, ring=self._rung, threads=0)
        self.actor = Actor(clock=self.clock, open_provider=self.open, threads=0)

    def _rung(self, tasks: int) -> None:
        self.rings += tasks

    def open(self, account: ProviderAccount) -> MemoryProvider:
        return MemoryProvider(self.clouds[account.pk])

    def add_account(
        self, name: str = "memory", cloud: MemoryCloud | None = None, **columns: Any
    ) -> ProviderAccount:
        defaults = {"kind": "memory", "calls_per_minute": 1_000_000, "call_tokens": 1_000_000}
        account = ProviderAccount.objects.create(
            name=name,
            **{
                **defaults,
                "next_refresh_at": self.clock(),
                "next_sweep_at": self.clock(),
                "call_tokens_at": self.clock(),
                **columns,
            },
        )
        self.join(account, cloud or MemoryCloud(boot_s=5))
        return account

    def join(self, account: ProviderAccount, cloud: MemoryCloud) -> None:
        """Lets the account have that cloud, whose time begins now."""
        started = self.clock()
        cloud._clock = lambda: (self.clock() - started).total_seconds()
        self.clouds[account.pk] = cloud

    @property
    def cloud(self) -> MemoryCloud:
        return next(iter(self.clouds.values()))

    def cloud_state(self) -> dict[str, Any]:
        """What the cloud knows and has done; for `resume`."""
        return {name: value for name, value in vars(self.cloud).items() if name not in ("_lock", "_clock")}

    def turn(self, seconds: float = 1.0) -> int:
        """Reconciler and worker once each, then time passes. Returns how much happened."""
        applied = self.reconciler.turn().applied
        acted = self.actor.run_batch(limit=1000)
        self.clock.advance(seconds=seconds)
        return applied + acted

    def step(self, seconds: float, until: float) -> None:
        """A turn, and past it those of the same pace that would find nothing due, up to a moment (POSIX time)."""
        if self.turn(seconds) or not self.may_skip:
            return
        now = self.clock()
        with connection.cursor() as cursor:
            cursor.execute(NEXT_DUE, {"now": now})
            left = float(cursor.fetchone()[0])
        turns = math.ceil(min(left, until - now.timestamp()) / seconds)
        self.clock.advance(seconds=max(turns, 0) * seconds)

    def settle(self, *, seconds: float = 120, step: float = 1.0) -> None:
        """Turns for so much simulated time."""
        until = self.clock().timestamp() + seconds
        while self.clock().timestamp() < until:
            self.step(step, until)

    def until(self, vm: VM, status: str, *, seconds: float = 1200, step: float = 1.0) -> VM:
        """Turns until the VM has a status; fails with its story when it does not get there in time."""
        until = self.clock().timestamp() + seconds
        while self.clock().timestamp() < until:
            vm.refresh_from_db(fields=["desired", "phase"])
            if vm.status == status:
                vm.refresh_from_db()
                return vm
            self.step(step, until)
        vm.refresh_from_db()
        raise AssertionError(f"{vm.status}, not {status}: {story(vm)}")

    def launch(
        self, owner: User | None = None, console: str = "switch", game_id: str = "mario-odyssey", **wish: Any
    ) -> VM:
        by = Principal(user=owner) if owner is not None else policy("test")
        order = Order(console=console, game_id=game_id, **{**DALLAS, **wish})
        return services.launch_game(by=by, owner=owner, order=order, now=self.clock()).vm

    def now(self) -> datetime:
        return self.clock()


def story(vm: VM) -> list[str]:
    """What happened to a VM, for a failing test's message."""
    from events.models import Event

    events = [f"{one.action} {one.details}" for one in Event.objects.about("vms", vm.pk)]
    attempts = [
        f"{one.tag} {one.outcome} {one.error_text} gone={one.gone_at}"
        for one in Attempt.objects.filter(vm=vm)
    ]
    return [f"{vm.phase} {vm.desired} {vm.error} {vm.error_text}", *events, *attempts]


@kept
def _consoles_on_memory(now: datetime) -> None:
    seed(now=now)
    ProviderPreference.objects.bulk_create(
        ProviderPreference(config=config, provider="memory", priority=99)
        for config in EmulatorConfig.objects.all()
    )


def resume(clock: Clock, cloud_state: dict[str, Any], *, seconds: float) -> ControlPlane:
    """Goes on, so long after its beginning, with the one account there is and a cloud like that."""
    plane, cloud = ControlPlane(clock), MemoryCloud(boot_s=5)
    vars(cloud).update(cloud_state)
    plane.join(ProviderAccount.objects.get(), cloud)
    clock.advance(seconds=seconds)
    return plane


def prepare(clock: Clock) -> ControlPlane:
    """Seeded consoles that prefer the memory cloud, one account with the stock of `MemoryCloud`."""
    _consoles_on_memory(NOON)
    installation.row()
    plane = ControlPlane(clock)
    plane.add_account()
    return plane
