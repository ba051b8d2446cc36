"""Our own overhead of a launch: on a vendor without latency, and on the sandbox with real HTTP and SSH."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from bench import plane
from bench.harness import claim, set_up
from sandbox.testing import SandboxServer
from tests.gamer.queue.cluster import own_url
from vms.lifecycle import Phase
from vms.models import VM, ProviderAccount

PROMISED = {1: 0.3, 50: 3.0, 200: 10.0}
# Requests are answered by processes of their own, as in production; this one reconciles meanwhile.
WEB_PROCESSES = 2


def main() -> None:
    plane.prepare()
    with ProcessPoolExecutor(
        WEB_PROCESSES, get_context("spawn"), initializer=set_up, initargs=(own_url(),)
    ) as web:
        list(web.map(is_awake, range(WEB_PROCESSES)))
        on_memory(web)
        on_the_sandbox(web)
    assert not VM.objects.filter(phase=Phase.FAILED).exists()


def is_awake(_: int) -> bool:
    """What a process of the web has done before its first request."""
    return VM.objects.exists()


def launched() -> tuple[VM, float]:
    """A VM, and the CPU seconds of its request."""
    cpu = time.process_time()
    (vm,) = plane.launch(1)
    return vm, time.process_time() - cpu


def at_once(count: int, web: ProcessPoolExecutor, control: plane.Plane) -> tuple[float, float]:
    """Seconds until all play, and CPU seconds of each launch."""
    cpu, started = time.process_time(), time.perf_counter()
    requests = [web.submit(launched) for _ in range(count)]
    while not all(request.done() for request in requests):
        control.turn()
    answers = [request.result() for request in requests]
    control.until_ready([vm for vm, _ in answers], limit_s=180)
    seconds = time.perf_counter() - started
    return seconds, (time.process_time() - cpu + sum(spent for _, spent in answers)) / count


def on_memory(web: ProcessPoolExecutor) -> None:
    control = plane.Plane()
    control.turn()
    for count, limit in PROMISED.items():
        seconds, cpu = at_once(count, web, control)
        claim(
            f"{count} launches at once, request to game, memory provider", f"{seconds:.2f} s, CPU {cpu * 1000:.0f} ms each",
            against=f"at most {limit} s", holds=seconds <= limit,
        )  # fmt: skip
    control.close()


def on_the_sandbox(web: ProcessPoolExecutor) -> None:
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
            seconds, cpu = at_once(count, web, control)
            claim(
                f"{count} launches at once on the sandbox, instant machines",
                f"{seconds:.1f} s, CPU {cpu:.2f} s each",
            )
        control.close()
