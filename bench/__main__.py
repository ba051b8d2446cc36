"""`make bench`: every benchmark, or those named; `--soak` the long ones instead."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from bench.harness import database, stop_postgres
from gamer import heap

SHORT = (
    "ranking",
    "launches",
    "ready",
    "transitions",
    "failover",
    "listing",
    "growth",
    "simulation",
    "reports",
    "money",
    "heartbeats",
)
LONG = ("soak", "customers", "fuzzing")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SHORT, *LONG, []], help="which (all)")
    parser.add_argument("--soak", action="store_true", help="the long ones")
    chosen = parser.parse_args()

    for name in chosen.names or (LONG if chosen.soak else SHORT):
        sys.stdout.write(f"\n{name}\n")
        with database():
            benchmark = import_module(f"bench.{name}")
            heap.settle()  # as every process of ours does
            benchmark.main()
    stop_postgres()
    return 0


if __name__ == "__main__":
    sys.exit(main())
