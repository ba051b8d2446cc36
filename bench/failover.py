"""Our own time per failed order: five providers broken in five ways, twenty offers each, and a sixth that works.

Vendors' waits are skipped, not slept: what is measured is our turns alone. Then the same through real processes over HTTP, where a failed
order also waits for the queue, the worker and the reconciler to be woken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import connections
from django.utils import timezone

from accounts.principal import policy
from bench import plane
from bench.harness import claim
from sandbox.testing import SandboxServer
from tests.journeys.processes import Processes
from tests.vms.breakage import BROKEN, OFFERS, STORY, WORKING, add_all, break_all
from tests.vms.control_plane import ControlPlane, prepare
from tests.waiting import eventually
from tests.world import Clock
from vms import services
from vms.lifecycle import Phase
from vms.models import VM, Attempt, Offer, ProviderAccount
from vms.provider_accounts import WELL

ROUNDS = 7
PROMISED_S = 1.0
REFUSALS = 8


@dataclass
class Watch(Clock):
    """The real time, and what was skipped of it."""

    skipped: timedelta = field(default_factory=timedelta)

    def advance(self, **delta: float) -> datetime:
        self.skipped += timedelta(**delta)
        return self()

    def __call__(self) -> datetime:
        return timezone.now() + self.skipped


def launched(control: ControlPlane) -> tuple[float, float, VM]:
    """The seconds of our own turns until a launch plays, and those of CPU among them."""
    vm, spent, cpu = control.launch(), 0.0, 0.0
    while vm.phase != Phase.READY:
        started, burnt = time.perf_counter(), time.process_time()
        happened = control.reconciler.turn().applied + control.actor.run_batch()
        spent, cpu = spent + time.perf_counter() - started, cpu + time.process_time() - burnt
        vm.refresh_from_db()
        if not happened:
            control.clock.advance(seconds=max(0.05, (vm.next_look_at - control.now()).total_seconds()))
    services.destroy(vm=vm, by=policy("bench"), now=control.now())
    for cloud in control.clouds.values():
        cloud.heal()
    while Attempt.objects.held().exists():
        control.turn()
    return spent, cpu, vm


def in_process() -> None:
    control = prepare(Watch())
    add_all(control)
    ProviderAccount.objects.exclude(name=WORKING).update(is_paused=True)
    alone = statistics.median(launched(control)[0] for _ in range(ROUNDS))
    ProviderAccount.objects.filter(name__in=BROKEN).update(is_paused=False)
    each, cpus = [], []
    for _ in range(ROUNDS):
        break_all(control)
        ProviderAccount.objects.update(**WELL, orders_failed_in_a_row=0, order_failed_at=None)
        Offer.objects.update(cools_until=None, refreshed_at=control.now())
        seconds, cpu, vm = launched(control)
        told = [(one.account.name, one.error_class) for one in vm.attempts.order_by("number")]
        assert told == STORY, told
        each.append((seconds - alone) / (len(told) - 1))
        cpus.append(cpu / len(told))
    claim(
        f"a failed order, {len(BROKEN)} broken providers × {OFFERS} offers",
        f"{spread(each)}, CPU {statistics.median(cpus) * 1000:.0f} ms",
        against=f"at most {PROMISED_S:g} s; a launch that fails nowhere {alone * 1000:.0f} ms",
        holds=max(each) <= PROMISED_S,
    )


def through_processes() -> None:
    """From the moment an order is known to have failed to the moment the next one leaves, by the rows."""
    ProviderAccount.objects.update(is_paused=True)
    processes = Processes()
    with SandboxServer(token="bench", seed="failover") as server:
        server.control.settings(rate_limit=False)
        ProviderAccount.objects.create(
            name="sandbox",
            kind="tensordock",
            base_url=server.base_url,
            credentials={"token": "bench"},
            calls_per_minute=plane.CALLS,
        )
        for name in ("reconciler", "worker"):
            processes.start(name, DJANGO_SETTINGS_MODULE="gamer.settings")
        try:
            eventually(lambda: Offer.objects.filter(account__name="sandbox").exists(), timeout_s=60)
            server.control.fault("stale_offer", times=REFUSALS)
            (vm,) = plane.launch(1)
            eventually(lambda: VM.objects.get(pk=vm.pk).phase == Phase.READY, timeout_s=120, every_s=0.2)
        finally:
            processes.close()
    orders = list(Attempt.objects.filter(vm=vm).order_by("number"))
    assert [one.error_class for one in orders] == ["NoCapacity"] * REFUSALS + [""]
    gaps = [(after.sent_at - before.closed_at).total_seconds() for before, after in pairwise(orders)]
    first = (orders[0].sent_at - vm.created_at).total_seconds()
    claim(
        "from a refused order to the next, real processes over HTTP",
        spread(gaps),
        against=f"at most {PROMISED_S:g} s; from the launch to its first order {first * 1000:.0f} ms",
        holds=max(gaps) <= PROMISED_S,
    )


def spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms, at most {max(seconds) * 1000:.0f} ms"


def main() -> None:
    in_process()
    connections.close_all()
    through_processes()
