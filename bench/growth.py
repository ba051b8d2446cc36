"""What an active VM costs: memory of the reconciler from 100 to 2,000, and database connections of all processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import requests
from django.db import connection
from django.utils import timezone

from accounts import keys
from accounts.models import Scope
from accounts.principal import Principal
from bench import plane
from bench.harness import claim
from gamer.env import ROOT
from gamer.queue.enqueue import enqueue
from tests.factories import UserFactory
from tests.gamer.queue.cluster import own_url
from vms.lifecycle import Phase
from vms.models import VM
from vms.reconcile.loop import Reconciler

FEW, MANY = 100, 2_000
PROCESSES = {"reconciler": ("manage.py", "reconciler"), "worker": ("manage.py", "qworker")}


def resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def turns(reconciler: Reconciler, count: int = 5) -> None:
    for _ in range(count):
        VM.objects.filter(phase=Phase.READY).update(next_look_at=timezone.now())
        reconciler.turn()


def connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def main() -> None:
    account = plane.prepare()
    cloud = plane.shared_cloud()
    reconciler = Reconciler(threads=0, ring=lambda tasks: None)
    plane.waiting_vms(account, FEW, Phase.READY, cloud)
    turns(reconciler)
    few = resident_kb()
    plane.waiting_vms(account, MANY - FEW, Phase.READY, cloud)
    turns(reconciler)
    each = (resident_kb() - few) / (MANY - FEW)
    claim(
        f"memory per active VM, {FEW} to {MANY:,}",
        f"{each:.1f} kB",
        against="at most 50 kB",
        holds=each <= 50,
    )
    plane.put_aside()
    count = with_all_processes()
    claim(
        "database connections, api + worker + reconciler", str(count), against="at most 30", holds=count <= 30
    )


def with_all_processes() -> int:
    """All kinds of process at once: the API answering, the worker with tasks, the reconciler turning."""
    sam = UserFactory(email="sam@gamer.test", is_staff=True, is_superuser=True)
    by = Principal(user=sam)
    _, secret = keys.create(
        by=by,
        maker=sam,
        name="bench",
        scopes=[Scope.READ],
        department=None,
        expires_at=None,
        now=timezone.now(),
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    api = ("-m", "gunicorn", "gamer.wsgi", "--workers", "4", "--bind", address, "--log-level", "error")
    environment = {**os.environ, "DATABASE_URL": own_url()}
    running = [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**environment, "GAMER_PROCESS": name},
            stderr=subprocess.DEVNULL,
        )
        for name, command in {**PROCESSES, "api": api}.items()
    ]
    most, until = 0, time.monotonic() + 20
    try:
        with ThreadPoolExecutor(8) as callers:
            while time.monotonic() < until:
                enqueue("vms.tasks.act")
                list(callers.map(lambda _: ask(address, secret), range(16)))
                most = max(most, connections())
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
    return most


def ask(address: str, secret: str) -> None:
    """One page of VMs; a server that is not up yet refuses, and is asked again."""
    with suppress(requests.ConnectionError):
        requests.get(f"http://{address}/vms", headers={"X-API-Key": secret}, timeout=10)
