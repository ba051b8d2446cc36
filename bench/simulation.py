"""A long life with every fault and death: nothing leaked, doubled or forgotten."""

from __future__ import annotations

import time

from bench.harness import claim
from tests.vms import simulation

LAUNCHES = 10_000


def main(launches: int = LAUNCHES) -> None:
    started = time.perf_counter()
    report = simulation.run(seed=20_26, launches=launches, at_once=300)
    seconds = time.perf_counter() - started
    name = f"{report.launches:,} launches, {report.attempts:,} orders, {sum(report.deaths.values())} deaths"
    claim(name, f"{seconds:.0f} s, {report.reached_ready:,} played")
    for what, count in (
        ("leaked machines", report.leaked),
        ("doubled machines", report.doubled),
        ("terminal rows whose machine lives", report.living_behind_a_terminal_row),
        ("orders without proof of their end", report.unproven),
        ("broken laws of money", len(report.broken_laws)),
        ("meters that still run", report.meters_left),
    ):
        claim(what, str(count), against="exactly 0", holds=count == 0)
