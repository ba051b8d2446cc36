"""2,000 agents that speak every 15 seconds to one API of four workers, on this machine: how long each waits, and what it costs.

The reference is the same heartbeat with nothing measured in it, in turns, so that the difference is what taking samples costs. Each is
sent at its moment whether or not earlier ones are answered, and its wait counted from then. Processor time is that of the API's and
Postgres' processes for each heartbeat, and so their share of all cores at that pace, however busy the machine is otherwise.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from django.db import connection
from django.utils import timezone

from bench import plane
from bench.harness import Timing, claim, timed
from gamer.env import ROOT
from gamer.web.models import Allowance
from monitoring import services
from monitoring.models import Minute, Sample
from tests.gamer.queue.cluster import own_url
from vms import agents
from vms.lifecycle import Phase
from vms.models import VM

AGENTS, EVERY_S, ROUNDS = 2_000, 15.0, 3
MEASURED = {
    "cpu_percent": 41.5, "ram_used_mb": 6120.0, "disk_used_percent": 38.0, "load": 2.13, "received_mbps": 0.8,
    "sent_mbps": 28.4, "gpu_percent": 64.0, "gpu_ram_used_mb": 5100.0, "gpu_ram_mb": 24564.0, "gpu_celsius": 61.0,
    "gpu_encoder_percent": 31.0,
}  # fmt: skip


@dataclass
class Told:
    """Waits of all heartbeats of one kind, the processor seconds that answering them took, and how many were not taken."""

    waits: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    failed: int = 0

    def quantile(self, part: float) -> float:
        return sorted(self.waits)[int(len(self.waits) * part) - 1]

    @property
    def each_ms(self) -> float:
        return 1000 * self.cpu_s / len(self.waits)

    @property
    def share(self) -> float:
        return self.each_ms / 1000 * AGENTS / EVERY_S / (os.cpu_count() or 1)


def main() -> None:
    account = plane.prepare()
    vms = plane.waiting_vms(account, AGENTS, Phase.READY)
    tokens = [f"ga_{vm.pk.hex}_{'A' * 43}" for vm in vms]
    for vm, token in zip(vms, tokens, strict=True):
        vm.agent_token_digest = agents._digest(token)
    VM.objects.bulk_update(vms, ["agent_token_digest"], batch_size=500)
    measured, without = Told(), Told()
    with api() as (address, pids):
        tell(Told(), address, tokens[:500], pids, MEASURED)  # for warmth
        taken_before = Sample.objects.count()
        for _ in range(ROUNDS):
            tell(without, address, tokens, pids, {})
            tell(measured, address, tokens, pids, MEASURED)
    p99, beside = measured.quantile(0.99), without.quantile(0.99)
    claim(
        f"{AGENTS:,} agents every {EVERY_S:.0f} s ({AGENTS / EVERY_S:.0f}/s): p99 of the endpoint", f"{p99 * 1000:.0f} ms",
        against=f"{beside * 1000:.0f} ms without samples; at most 250 ms", holds=p99 <= 0.25,
    )  # fmt: skip
    claim(
        "  half of them wait",
        f"{measured.quantile(0.5) * 1000:.1f} ms",
        against=f"{without.quantile(0.5) * 1000:.1f} ms",
    )
    claim(
        f"  processor, of {os.cpu_count()} cores", f"{measured.share:.0%} ({measured.each_ms:.1f} ms each)",
        against=f"{without.share:.0%} ({without.each_ms:.1f} ms) without samples; at most 60 %", holds=measured.share <= 0.6,
    )  # fmt: skip
    claim(
        "  samples kept of heartbeats sent", f"{Sample.objects.count() - taken_before:,} of {len(measured.waits):,}",
        against=f"{measured.failed} refused", holds=not measured.failed,
    )  # fmt: skip
    roll_ups()


@contextmanager
def api() -> Iterator[tuple[str, list[int]]]:
    """Gunicorn as in deploy/; its address, and the processes that answer: its own and Postgres'."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = (sys.executable, "-m", "gunicorn", "gamer.wsgi", "--workers", "4", "--bind", address)
    environment = {**os.environ, "DATABASE_URL": own_url(), "GAMER_PROCESS": "api"}
    process = subprocess.Popen(
        [*command, "--log-level", "error"],
        cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and beat(address, "", {}) == 0:
            time.sleep(0.2)
        with connection.cursor() as cursor:
            cursor.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
            postmaster = int((Path(cursor.fetchone()[0]) / "postmaster.pid").read_text().split()[0])
        yield address, [process.pid, postmaster]
    finally:
        process.terminate()
        process.wait(30)


def tell(
    told: Told, address: str, tokens: Sequence[str], roots: Sequence[int], metrics: dict[str, float]
) -> None:
    """One heartbeat of each agent, at even distances."""
    Allowance.objects.all().delete()
    began, cpu = time.perf_counter() + 0.5, cpu_s(roots)
    clock = time.time() - time.perf_counter()

    def one(number: int) -> tuple[float, int]:
        due = began + number * EVERY_S / AGENTS
        time.sleep(max(0.0, due - time.perf_counter()))
        status = beat(address, tokens[number], metrics, sequence=int((due + clock) * 1000), at=due + clock)
        return time.perf_counter() - due, status

    with ThreadPoolExecutor(48) as senders:
        ends = list(senders.map(one, range(len(tokens))))
    told.cpu_s += cpu_s(roots) - cpu
    told.waits += [wait for wait, _ in ends]
    told.failed += sum(status != 204 for _, status in ends)


def beat(address: str, token: str, metrics: dict[str, float], *, sequence: int = 0, at: float = 0.0) -> int:
    """One heartbeat over a connection of its own, as agents send it; the answer's status, 0 without one."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
    body = {"boot_id": "bench", "sequence": sequence, "sent_at": moment, "sessions": [], "metrics": metrics}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "Connection": "close"}
    link = http.client.HTTPConnection(address, timeout=30)
    try:
        link.request("POST", "/agent/heartbeat", json.dumps(body), headers)
        return link.getresponse().status
    except OSError:
        return 0
    finally:
        link.close()


def cpu_s(roots: Sequence[int]) -> float:
    """Processor seconds of these processes and all that came from them."""
    parents: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                words = (folder / "stat").read_text().rpartition(")")[2].split()
                pid = int(folder.name)
                parents.setdefault(int(words[1]), []).append(pid)
                # utime, stime, and those of children that have ended
                spent[pid] = sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    left, total = list(roots), 0.0
    while left:
        pid = left.pop()
        total += spent.get(pid, 0.0)
        left += parents.get(pid, [])
    return total


def roll_ups() -> None:
    """A minute of all agents rolled up, beside the bare sum over the same samples."""
    Sample.objects.all().delete()
    begin = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=20)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_sample (subject, at, numbers) SELECT id, moment, array_fill(41.5::real, ARRAY[13])"
            " FROM vms_vm, generate_series(%s::timestamptz, %s, '15 seconds') AS moment",
            [begin, begin + timedelta(minutes=10) - timedelta(seconds=1)],
        )
        cursor.execute("ANALYZE monitoring_sample")
        rows = Sample.objects.count()

        def bare() -> None:
            cursor.execute("SELECT subject, sum(numbers[1]) FROM monitoring_sample GROUP BY subject")

        reference = timed(bare, repeats=3)
        started = time.perf_counter()
        services.roll_up(now=begin + timedelta(minutes=12))
        took = Timing((time.perf_counter() - started,))
    claim(
        f"ten minutes of them rolled up ({rows:,} samples, {Minute.objects.count():,} rows)", f"{took.median:.2f} s",
        against=f"{reference.median:.2f} s one bare sum; at most 6 s (1 % of the time)", holds=took.median <= 6,
    )  # fmt: skip
