"""The SQL of roll-ups and windows, written once for all measures: plain aggregates over arrays, no extension."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from monitoring.measures import EPOCH, MEASURES

ORIGIN = f"TIMESTAMPTZ '{EPOCH:%Y-%m-%d %H:%M:%S}+00'"
EACH = range(1, len(MEASURES) + 1)  # arrays begin at 1


def _array(of: Callable[[int], str], kind: str) -> str:
    return f"ARRAY[{', '.join(map(of, EACH))}]::{kind}[]"


# One sample is a roll-up of itself.
_FROM_SAMPLES = (
    _array(lambda n: f"min(numbers[{n}])", "real"),
    _array(lambda n: f"max(numbers[{n}])", "real"),
    _array(lambda n: f"sum(numbers[{n}]::float8)", "float8"),
    _array(lambda n: f"count(numbers[{n}])", "integer"),
)
# Rows of before a measure was added are too short for it.
_FROM_ROLLUPS = (
    _array(lambda n: f"min(mins[{n}])", "real"),
    _array(lambda n: f"max(maxs[{n}])", "real"),
    _array(lambda n: f"sum(sums[{n}])", "float8"),
    _array(lambda n: f"COALESCE(sum(counts[{n}]), 0)", "integer"),
)


def _roll_up(source: str, target: str, step: str, arrays: Iterable[str], which: str) -> str:
    """One statement; a row that is there already is written again only when more is known than it says.

    Never from less: a crash empties the table of samples and not that of minutes, and a late sample would be all of its minute.
    """
    return f"""
        INSERT INTO {target} AS kept (subject, at, mins, maxs, sums, counts)
        SELECT subject, date_bin('{step}', at, {ORIGIN}) AS step, {", ".join(arrays)}
        FROM {source} WHERE {which} GROUP BY 1, 2
        ON CONFLICT (subject, at) DO UPDATE
        SET mins = excluded.mins, maxs = excluded.maxs, sums = excluded.sums, counts = excluded.counts
        WHERE kept.counts <> excluded.counts AND NOT EXISTS (
            SELECT FROM unnest(kept.counts, excluded.counts) AS pairs (had, has) WHERE had > COALESCE(has, 0))
    """


_SPAN = "at >= %(since)s AND at < %(until)s"
_THESE = """(subject, date_bin('{step}', at, {origin})) IN
    (SELECT subject, step FROM unnest(%(subjects)s::uuid[], %(steps)s::timestamptz[]) AS wanted (subject, step))
    AND at >= %(since)s AND at < %(until)s"""


def _these(step: str) -> str:
    return _THESE.format(step=step, origin=ORIGIN)


MINUTES = _roll_up("monitoring_sample", "monitoring_minute", "1 minute", _FROM_SAMPLES, _SPAN)
HOURS = _roll_up("monitoring_minute", "monitoring_hour", "1 hour", _FROM_ROLLUPS, _SPAN)
LATE_MINUTES = _roll_up(
    "monitoring_sample", "monitoring_minute", "1 minute", _FROM_SAMPLES, _these("1 minute")
)
LATE_HOURS = _roll_up("monitoring_minute", "monitoring_hour", "1 hour", _FROM_ROLLUPS, _these("1 hour"))

# `is_late` marks the minute in the same statement, so that nobody sees the one without the other.
RECORD = f"""
    WITH taken AS (
        INSERT INTO monitoring_sample (subject, at, numbers)
        SELECT %(subject)s, at, string_to_array(numbers, ',', '')::real[]
        FROM unnest(%(ats)s::timestamptz[], %(numbers)s::text[]) AS sent (at, numbers)
        ON CONFLICT DO NOTHING RETURNING at
    ), late AS (
        INSERT INTO monitoring_late (subject, at)
        SELECT DISTINCT %(subject)s::uuid, date_bin('1 minute', at, {ORIGIN}) FROM taken WHERE at < %(late_before)s
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM taken
"""

TAKE_LATE = """
    DELETE FROM monitoring_late WHERE (subject, at) IN (
        SELECT subject, at FROM monitoring_late WHERE at < %(before)s ORDER BY at, subject LIMIT %(most)s
    ) RETURNING subject, at
"""

# Rows by their place on the disk, because a delete knows no LIMIT.
FORGET = """
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE at < %(before)s ORDER BY at LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ))
"""

AGGREGATES = {
    "avg": "sum(sums[{n}]) / NULLIF(sum(counts[{n}]), 0)",
    "min": "min(mins[{n}])::float8",
    "max": "max(maxs[{n}])::float8",
    "count": "sum(counts[{n}])",
}
_ONE_SAMPLE = f"""
    SELECT at, numbers AS mins, numbers AS maxs, numbers::float8[] AS sums,
           {_array(lambda n: f"(numbers[{n}] IS NOT NULL)::int", "integer")} AS counts
    FROM monitoring_sample
"""
_ROLLED_UP = "SELECT at, mins, maxs, sums, counts FROM monitoring_{level}"


def window(positions: Sequence[int], aggregates: Sequence[str]) -> str:
    """One subject's steps from `since` to `until`: the step's beginning, then each aggregate of each measure.

    Hours before `hours_until`, minutes before `minutes_until`, samples after; each stretch of time is read once.
    """
    wanted = ", ".join(
        AGGREGATES[name].format(n=position + 1) for position in positions for name in aggregates
    )
    return f"""
        SELECT date_bin(%(step)s, at, %(origin)s) AS step, {wanted} FROM (
            {_ROLLED_UP.format(level="hour")}
            WHERE subject = %(subject)s AND at >= %(since)s AND at < LEAST(%(hours_until)s, %(until)s)
            UNION ALL {_ROLLED_UP.format(level="minute")}
            WHERE subject = %(subject)s AND at >= GREATEST(%(since)s, %(hours_until)s)
                AND at < LEAST(%(minutes_until)s, %(until)s)
            UNION ALL {_ONE_SAMPLE}
            WHERE subject = %(subject)s AND at >= GREATEST(%(since)s, %(minutes_until)s) AND at < %(until)s
        ) AS known GROUP BY 1 ORDER BY 1
    """


BUSY = """
    SELECT subject FROM monitoring_sample WHERE at >= %(since)s
    GROUP BY subject HAVING avg(numbers[{n}]) >= %(least)s ORDER BY subject LIMIT %(most)s
"""

# Plausible values of a machine on which somebody plays; `m` are minutes, with a beginning of the subject's own. OFFSET 0 has them
# reckoned once a minute; merged into one query they were reckoned for every element, some fifty times.
_DEMO = {
    "cpu_percent": "45 + 22 * sin(m / 47) + 8 * sin(m * 2.4)",
    "ram_used_mb": "6200 + 900 * sin(m / 90)",
    "disk_used_percent": "32 + mod(m::numeric, 1440)::float8 / 60",
    "load": "2 + sin(m / 47)",
    "received_mbps": "0.8 + 0.3 * sin(m * 1.7)",
    "sent_mbps": "27 + 6 * sin(m / 9)",
    "gpu_percent": "60 + 20 * sin(m / 31) + 8 * sin(m * 1.3)",
    "gpu_ram_used_mb": "5100 + 700 * sin(m / 120)",
    "gpu_ram_mb": "24564",
    "gpu_celsius": "61 + 9 * sin(m / 31)",
    "gpu_encoder_percent": "30 + 4 * sin(m * 1.9)",
    "games": "1",
    "is_playing": "1",
}
DEMO = f"""
    INSERT INTO monitoring_minute (subject, at, mins, maxs, sums, counts)
    SELECT %(subject)s, at, {_array(lambda n: f"0.95 * v[{n}]", "real")}, {_array(lambda n: f"1.05 * v[{n}]", "real")},
           {_array(lambda n: f"4 * v[{n}]", "float8")}, {_array(lambda n: f"4 * (v[{n}] IS NOT NULL)::int", "integer")}
    FROM (
        SELECT at, ARRAY[{", ".join(_DEMO.get(one.name, "NULL") for one in MEASURES)}]::float8[] AS v FROM (
            SELECT at, (EXTRACT(EPOCH FROM at) / 60 + mod(hashtext(%(subject)s::text), 1000))::float8 AS m
            FROM generate_series(%(since)s::timestamptz, %(until)s, '1 minute') AS at OFFSET 0
        ) AS times OFFSET 0
    ) AS made
    ON CONFLICT DO NOTHING
"""
