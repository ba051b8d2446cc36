"""Our own overhead of a launch: on a vendor without latency, and on the sandbox with real HTTP and SSH."""

from __future__ import annotations

import time

from bench import plane
from bench.harness import claim
from sandbox.testing import SandboxServer
from vms.lifecycle import Phase
from vms.models import VM, ProviderAccount

PROMISED = {1: 0.3, 50: 3.0, 200: 10.0}


def main() -> None:
    plane.prepare()
    control = plane.Plane()
    control.turn()
    for count, limit in PROMISED.items():
        cpu, started = time.process_time(), time.perf_counter()
        vms = plane.launch(count)
        control.until_ready(vms)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        claim(
            f"{count} launches at once, request to game, memory provider", f"{seconds:.2f} s, CPU {cpu / count * 1000:.0f} ms each",
            against=f"at most {limit} s", holds=seconds <= limit,
        )  # fmt: skip
    control.close()
    with SandboxServer(token="bench") as server:
        server.control.settings(rate_limit=False)
        ProviderAccount.objects.filter(kind="memory").update(is_paused=True)
        ProviderAccount.objects.create(
            name="sandbox",
            kind="tensordock",
            base_url=server.base_url,
            credentials={"token": "bench"},
            calls_per_minute=plane.CALLS,
        )
        control = plane.Plane()
        while not ProviderAccount.objects.get(name="sandbox").offers_refreshed_at:
            control.turn()
        for count in (1, 20):
            cpu, started = time.process_time(), time.perf_counter()
            vms = plane.launch(count)
            control.until_ready(vms, limit_s=180)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            claim(
                f"{count} launches at once on the sandbox, instant machines",
                f"{seconds:.1f} s, CPU {cpu / count:.2f} s each",
            )
        control.close()
    assert not VM.objects.filter(phase=Phase.FAILED).exists()
