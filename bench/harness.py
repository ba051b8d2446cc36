"""What every benchmark stands on: a database of its own, a stopwatch, and a way to print a claim."""

from __future__ import annotations

import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import plugin  # a throw-away Postgres, keys, and no way off this machine


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated runs."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def p95(self) -> float:
        return sorted(self.runs)[max(0, round(len(self.runs) * 0.95) - 1)]


def timed(work: Callable[[], object], *, repeats: int = 7, warm: int = 1) -> Timing:
    """Runs `work` a few times for warmth, then measures each repeat."""
    for _ in range(warm):
        work()
    runs = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        runs.append(time.perf_counter() - started)
    return Timing(tuple(runs))


def side_by_side(
    work: Callable[[], object], reference: Callable[[], object], *, repeats: int = 25, warm: int = 5
) -> tuple[Timing, Timing]:
    """Both measured by turns, so that a slow moment of the machine is the same for both."""
    pairs = [
        (timed(work, repeats=1, warm=0), timed(reference, repeats=1, warm=0)) for _ in range(warm + repeats)
    ]
    ours, theirs = zip(*pairs[warm:], strict=True)
    return Timing(tuple(one.median for one in ours)), Timing(tuple(one.median for one in theirs))


def backend_cpu() -> float:
    """Seconds of CPU that this connection's backend has used: what it costs whoever else is on the machine."""
    from django.db import connection

    fields = (
        Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def claim(name: str, measured: str, *, against: str = "", holds: bool | None = None) -> None:
    """One line of the report. `holds` None is a figure without a promise."""
    verdict = "" if holds is None else ("ok  " if holds else "MISS")
    sys.stdout.write(f"{verdict:5}{name:58} {measured:34} {against}\n")
    sys.stdout.flush()


def set_up(database_url: str = "") -> None:
    """Makes a process one of Django's, on that database or this run's own; repeating it is harmless."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gamer.settings")
    if database_url:
        os.environ["DATABASE_URL"] = database_url
    import django

    django.setup()


@contextmanager
def quiet() -> Iterator[None]:
    """Without log lines: those of faults that are switched on by the thousand say nothing."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def database(name: str = "") -> Iterator[None]:
    """A migrated, empty database for one benchmark; processes that measure at once give theirs a name."""
    set_up()
    from django.db import connection

    from tests import kept  # needs the settings

    creation = connection.creation
    connection.settings_dict["TEST"]["NAME"] = f"test_{name}" if name else None
    old = connection.settings_dict["NAME"]
    creation.create_test_db(verbosity=0, autoclobber=True)
    kept.forget()
    try:
        yield
    finally:
        connection.close()
        creation.destroy_test_db(old, verbosity=0)


def stop_postgres() -> None:
    if plugin._own_postgres is not None:
        plugin._own_postgres.pytest_unconfigure()
