"""Long lives with every fault and death: nothing leaked, doubled or forgotten. One seed, one database, one process each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from bench.harness import claim, database, quiet, set_up
from tests.vms import simulation
from tests.vms.simulation import Report

FIRST_SEED = 20_26
LAUNCHES, LIVES = 10_000, 4
AT_ONCE = 300


def live(seed: int, launches: int) -> Report:
    """One life, in a process of its own."""
    with quiet(), database(f"life_{seed}"):
        return simulation.run(seed, launches, at_once=AT_ONCE)


def main(launches: int = LAUNCHES, lives: int = LIVES) -> None:
    started = time.perf_counter()
    cores = os.cpu_count() or 1
    seeds = range(FIRST_SEED, FIRST_SEED + lives)
    with ProcessPoolExecutor(min(cores, lives), get_context("spawn"), initializer=set_up) as pool:
        reports = []
        for seed, report in zip(seeds, pool.map(live, seeds, [launches // lives] * lives), strict=True):
            reports.append(report)
            at = time.perf_counter() - started
            sys.stdout.write(f"  life {seed} ended after {at:.0f} s: {report}\n")
            sys.stdout.flush()
    seconds = time.perf_counter() - started
    accepted, asked = total(reports, "launches"), total(reports, "asked")
    played, orders = total(reports, "reached_ready"), total(reports, "attempts")
    deaths = sum(report.deaths.total() for report in reports)
    claim(
        f"{accepted:,} launches in {lives} lives",
        f"{played:,} played, {seconds:.0f} s",
        against=f"{asked:,} asked, {orders:,} orders, {deaths} deaths, {cores} cores",
        holds=accepted == launches,
    )
    for what, count in (
        ("leaked machines", total(reports, "leaked")),
        ("doubled machines", total(reports, "doubled")),
        ("terminal rows whose machine lives", total(reports, "living_behind_a_terminal_row")),
        ("orders without proof of their end", total(reports, "unproven")),
        ("VMs that did not end", total(reports, "unended")),
        ("broken laws of money", sum(len(report.broken_laws) for report in reports)),
        ("meters that still run", total(reports, "meters_left")),
    ):
        claim(what, str(count), against="exactly 0", holds=count == 0)


def total(reports: Sequence[Report], name: str) -> int:
    return sum(getattr(report, name) for report in reports)
