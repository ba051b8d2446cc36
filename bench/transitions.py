"""The loop's throughput, its machines metered: acting steps through the real queue and worker, looks in one tick, ends that charge."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable

from django.db import connection, connections
from django.utils import timezone

from bench import plane
from bench.harness import backend_cpu, claim, timed
from billing.models import Meter
from gamer.env import ROOT
from gamer.queue.enqueue import enqueue
from tests.gamer.queue.cluster import own_url
from vms.lifecycle import Phase
from vms.models import VM
from vms.providers.memory import MemoryCloud
from vms.reconcile.acting import Actor
from vms.reconcile.loop import Reconciler

ACTS, LOOKS, CHANGES = 2_000, 5_000, 500


def through_the_queue(account: object) -> None:
    # Deletes of machines that are gone already: the cheapest act there is, so that the figure is our own overhead.
    vms = plane.waiting_vms(account, ACTS, Phase.DELETING, MemoryCloud())
    plane.metered(vms, is_charged=True)
    VM.objects.update(is_acting=True)
    acted = VM.objects.filter(action_sent_at__isnull=False)
    environment = {**os.environ, "DATABASE_URL": own_url(), "GAMER_PROCESS": "worker"}
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "qworker"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        enqueue("vms.tasks.act")  # the first one proves that the worker is up
        _wait(lambda: acted.exists())
        before = acted.count()
        started = time.perf_counter()
        for _ in range(ACTS // 32):
            enqueue("vms.tasks.act")
        _wait(lambda: acted.count() == ACTS)
        seconds = time.perf_counter() - started
    finally:
        worker.terminate()
        worker.wait(30)
    rate = (len(vms) - before) / seconds
    claim(
        "acting transitions through queue and worker",
        f"{rate:.0f} a second",
        against="at least 200",
        holds=rate >= 200,
    )
    plane.put_aside()


def _wait(condition: Callable[[], bool], limit_s: float = 60) -> None:
    until = time.perf_counter() + limit_s
    while not condition():
        if time.perf_counter() > until:
            raise TimeoutError("the worker does not get on")
        time.sleep(0.02)


def one_tick(account: object) -> None:
    cloud = plane.shared_cloud("looked-at")
    plane.metered(plane.waiting_vms(account, LOOKS, Phase.READY, cloud), is_charged=True)
    reconciler = Reconciler(threads=0, ring=lambda tasks: None)

    def due() -> None:
        VM.objects.filter(phase=Phase.READY).update(next_look_at=timezone.now())

    ticks = []
    for _ in range(4):
        due()
        lists = cloud.calls["list"]
        cpu, started = time.process_time(), time.perf_counter()
        turn = reconciler.turn()
        ticks.append((time.perf_counter() - started, time.process_time() - cpu))
        assert turn.looked == LOOKS, turn
        listed = cloud.calls["list"] - lists
    seconds, cpu = sorted(ticks)[len(ticks) // 2]
    due()
    raw = timed(
        lambda: list(VM.objects.filter(phase=Phase.READY).values_list("id", "phase", "next_look_at")),
        repeats=5,
    )
    claim(
        f"one tick over {LOOKS:,} waiting VMs", f"{seconds:.2f} s, {LOOKS / seconds:,.0f} rows a second",
        against=f"at most 1 s; reading the rows alone {raw.median * 1000:.0f} ms", holds=seconds <= 1,
    )  # fmt: skip
    claim("CPU of a look", f"{cpu / LOOKS * 1000:.3f} ms")
    claim("list() calls of the tick, one account", str(listed), against="exactly 1", holds=listed == 1)


def in_one_process(coming: object, going: object) -> None:
    """What a meter costs a transition: machines that come, and machines that go with their last interval charged."""
    actor = Actor(threads=0)
    vms = plane.waiting_vms(coming, CHANGES, Phase.CREATING)
    VM.objects.filter(pk__in=[vm.pk for vm in vms]).update(is_acting=True)
    meters = Meter.objects.filter(subject__vm__in=[vm.pk for vm in vms])
    measured("machines ordered, each with its meter begun, one process", lambda: _until_none(actor.run_batch))
    assert meters.count() == CHANGES
    actor.close()

    plane.put_aside()
    gone = plane.waiting_vms(going, CHANGES, Phase.DELETING, MemoryCloud())
    plane.metered(gone, is_charged=True)
    VM.objects.filter(pk__in=[vm.pk for vm in gone]).update(action_sent_at=timezone.now())
    logging.getLogger("vms.providers.registry").setLevel(
        logging.WARNING
    )  # each machine that is gone is a line
    reconciler = Reconciler(threads=0, ring=lambda tasks: None)
    measured("machines proven gone, each charged and its meter ended, one process", reconciler.turn)
    assert not Meter.objects.filter(subject__vm__in=[vm.pk for vm in gone]).exists()
    plane.put_aside()


def measured(name: str, work: Callable[[], object]) -> None:
    started, ours, backend = time.perf_counter(), time.process_time(), backend_cpu()
    work()
    seconds, ours, backend = (
        time.perf_counter() - started,
        time.process_time() - ours,
        backend_cpu() - backend,
    )
    cpu = f"CPU of one {ours / CHANGES * 1000:.1f} ms, and {backend / CHANGES * 1000:.1f} ms of its backend"
    claim(name, f"{CHANGES / seconds:.0f} a second", against=cpu)


def _until_none(work: Callable[[], int]) -> None:
    while work():
        pass


def main() -> None:
    account = plane.prepare()
    Reconciler(threads=0, ring=lambda tasks: None).turn()
    through_the_queue(account)
    connection.close()
    connections.close_all()
    in_one_process(plane.account("coming"), plane.account("going"))
    one_tick(plane.account("looked-at"))
