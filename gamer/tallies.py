"""Counters of processes that come and go and listen on no port: kept in memory, added to their rows every few seconds.

`add` costs no query. `flush` belongs where no transaction is open: at the end of a turn or a task. What a killed process had
not flushed is lost, which counters survive.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from threading import Lock

from django.db import connection

FLUSH_S = 5.0

Key = tuple[str, tuple[tuple[str, str], ...]]

ADD = """
    INSERT INTO gamer_web_tally AS kept (name, labels, value)
    SELECT name, labels::jsonb, value FROM unnest(%s::text[], %s::text[], %s::float8[]) AS new (name, labels, value)
    ORDER BY name, labels
    ON CONFLICT (name, labels) DO UPDATE SET value = kept.value + excluded.value
"""

_counts: defaultdict[Key, float] = defaultdict(float)
_lock = Lock()
_flushed_at = 0.0


def add(name: str, amount: float = 1.0, **labels: str) -> None:
    """Counts. Labels take few values: each combination is a row."""
    with _lock:
        _counts[name, tuple(sorted(labels.items()))] += amount


def flush(*, within_s: float = 0.0) -> int:
    """Adds what was counted to the rows, in one statement; how many rows. Nothing if that was done `within_s` seconds ago."""
    global _flushed_at
    now = time.monotonic()
    with _lock:
        if not _counts or (within_s and now - _flushed_at < within_s):
            return 0
        counted = dict(_counts)
        _counts.clear()
        _flushed_at = now
    names = [name for name, _ in counted]
    labels = [json.dumps(dict(each)) for _, each in counted]
    with connection.cursor() as cursor:
        cursor.execute(ADD, [names, labels, list(counted.values())])
    return len(counted)
