"""What `/metrics` says: the web's own counters, and figures that any process would read from the same rows.

Figures are rows' truth, so every instance says the same; scrape one, or take `max`. Apps above add theirs by dotted path in
settings.METRICS, each a bounded number of queries.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gamer.queue import failures, schedules
from gamer.queue.broker import backlog
from gamer.web.models import Tally

PREFIX = "gamer_"
# What a tally counts, by its name.
TALLIES: dict[str, str] = {
    "provider_calls": "Calls to providers, by the error class they ended with (none: it went well).",
    "samples_refused": "Samples of machines that were not taken, or values left out of them, by the reason.",
    "provider_call_seconds": "Seconds spent in calls to providers.",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value under one name; several of a name differ by labels, which take few values."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Source = Callable[[datetime], Iterable[Figure]]


def queue(now: datetime) -> Iterable[Figure]:
    """The queue and the schedules."""
    waiting = backlog()
    yield Figure("queue_tasks", "Tasks in the queue.", waiting.due, {"state": "due"})
    yield Figure("queue_tasks", "Tasks in the queue.", waiting.later, {"state": "claimed_or_later"})
    yield Figure("queue_oldest_due_seconds", "How long the oldest due task waits.", waiting.oldest_due_s)
    yield Figure("schedule_oldest_late_seconds", "How late the latest schedule is.", schedules.late_s(now))


def failed(now: datetime) -> Iterable[Figure]:
    yield Figure("failed_tasks", "Tasks that failed in the last hour.", failures.lately(now))
    off = len(failures.switched_off())
    yield Figure("schedules_switched_off", "Schedules that are off because they cannot run.", off)


def tallies(now: datetime) -> Iterable[Figure]:
    for row in Tally.objects.filter(name__in=TALLIES).order_by("id")[:5000]:
        yield Figure(f"{row.name}_total", TALLIES[row.name], row.value, row.labels)


def age_s(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


class FromRows(Collector):
    """The sources of settings.METRICS at this moment. A database that is away is a figure, and the web's counters go on."""

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[Figure]] = defaultdict(list)
        now, is_up = timezone.now(), 1
        for path in settings.METRICS:
            source: Source = import_string(path)
            try:
                for figure in source(now):
                    found[figure.name].append(figure)
            except (DatabaseError, InterfaceError):
                is_up = 0
        found["database_up"] = [Figure("database_up", "Whether the database answered this scrape.", is_up)]
        for name, figures in found.items():
            labels = list(figures[0].labels)
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(PREFIX + name, figures[0].help, labels=labels)
            for figure in figures:
                family.add_metric([figure.labels[label] for label in labels], figure.value)
            yield family


def exposition() -> bytes:
    """Prometheus' text. Under several gunicorn workers their counters are joined from PROMETHEUS_MULTIPROC_DIR."""
    rows = CollectorRegistry()
    rows.register(FromRows())
    web = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        web = CollectorRegistry()
        multiprocess.MultiProcessCollector(web)  # type: ignore[no-untyped-call]
    return generate_latest(web) + generate_latest(rows)
