"""The sums of days: added to in the transaction of every fact, folded by a schedule, counted anew when asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from billing.budgets.watch import zone
from billing.models.sums import BITS, BLOCK_DAYS, LONGEST_SPAN_DAYS, SPANS_BEGAN
from billing.rating import day_of

USED = "running_us, charged_us, stopped_us, storage_us, cost_usd, charge_usd, saved_usd"
LIVES = "machines_begun, machines_ended"
WHOM = "user_id, project_id, department_id"
FIGURES = f"{USED}, {LIVES}"
DIMENSIONS = "provider, provider_account, region, console, preset, project_id, department_id"
# What a machine would have cost more, had it run while it was stopped; of an interval called `timed`.
SAVED = """CASE kind WHEN 'running' THEN 0 ELSE
           billing_total((SELECT cost_usd_per_hour FROM billing_subject WHERE id = timed.subject_id), started_at, ended_at) - cost_usd
           END"""
# The last day a machine was there, given the table it is a row of.
LAST_DAY = """greatest(({0}.started_at AT TIME ZONE %(zone)s)::date,
                       (({0}.ended_at - interval '1 microsecond') AT TIME ZONE %(zone)s)::date)"""


def first_of(day: str, length: int | str) -> str:
    """SQL of the first day of the span or block of so many days that a day lies in."""
    return f"{day} - ({day} - DATE '{SPANS_BEGAN}') %% {length}"


def _summed(figures: str) -> str:
    return ", ".join(f"sum({name}) AS {name}" for name in figures.split(", "))


def _add_days(figures: str) -> str:
    """Adds `added` (by day and centre) to the centres' days, as rows of their own: nobody waits for anybody."""
    return f"""
    INSERT INTO billing_usageday (day, centre_id, {figures}) SELECT day, centre_id, {figures} FROM added ORDER BY day, centre_id
"""  # noqa: S608  # our own words only


def _add_sums(figures: str) -> str:
    """… and once for every face of the coarse sums, as rows of their own."""
    return f"""
    INSERT INTO billing_usagesum (day, face, {DIMENSIONS}, {figures}, is_whole)
    SELECT day, CASE grouping(provider, console, department_id) WHEN 7 THEN 'all' WHEN 3 THEN 'place' WHEN 5 THEN 'game'
           WHEN 1 THEN 'product' ELSE 'tenant' END,
           coalesce(provider, ''), provider_account, coalesce(region, ''), coalesce(console, ''), coalesce(preset, ''),
           project_id, department_id, {_summed(figures)}, {{is_whole}}
      FROM added JOIN billing_costcentre centre ON centre.id = added.centre_id
     GROUP BY GROUPING SETS ((day), (day, provider, provider_account, region), (day, console, preset),
                             (day, provider, provider_account, region, console, preset), (day, project_id, department_id))
"""  # noqa: S608  # our own words only


ADD_DAYS, ADD_SUMS = _add_days(USED), _add_sums(USED)
COUNT = f"""
    WITH added AS (
        SELECT day, centre_id, sum(begun) AS machines_begun, sum(ended) AS machines_ended
          FROM unnest(%(days)s::date[], %(centres)s::bigint[], %(begun)s::int[], %(ended)s::int[])
               AS told (day, centre_id, begun, ended)
         GROUP BY day, centre_id),
    days AS ({_add_days(LIVES)})
    {_add_sums(LIVES).format(is_whole="false")}
"""  # noqa: S608  # our own words only
# Additions of a day become one row of each. Whoever folds at once finds the rows gone, and the other's not there yet.
FOLD = f"""
    WITH gone AS (
        DELETE FROM {{table}}
         WHERE ({{kept}}) IN (SELECT {{kept}} FROM {{table}} WHERE NOT is_whole {{only}}) {{only}} RETURNING *)
    INSERT INTO {{table}} ({{told}}, {FIGURES}, is_whole) SELECT {{told}}, {_summed(FIGURES)}, true FROM gone GROUP BY {{told}}
"""  # noqa: S608  # our own words only
FOLDS = (
    FOLD.format(table="billing_usagesum", kept="face, day", told=f"face, day, {DIMENSIONS}", only=""),
    FOLD.format(
        table="billing_usageday", kept="day, centre_id", told="day, centre_id", only="AND NOT is_folded"
    ),
)
# Spans of {length} days out of those of half the length, once all their days are over. What is added meanwhile is left for the
# next time.
HALVES = f"""
    WITH due AS (
        SELECT id FROM {{table}} WHERE NOT is_folded {{only}} AND day < %(today)s AND {{first}} + {{length}} <= %(today)s
         ORDER BY day, centre_id FOR UPDATE SKIP LOCKED),
    gone AS (
        UPDATE {{table}} halves SET is_folded = true FROM due WHERE halves.id = due.id RETURNING halves.day, halves.centre_id, {FIGURES})
"""  # noqa: S608  # our own words only
WHOLES = f"""
    INSERT INTO billing_usagespan (length, day, centre_id, {FIGURES}, is_folded)
    SELECT {{length}}, {{first}} AS first, centre_id, {_summed(FIGURES)}, {{is_longest}} FROM gone GROUP BY first, centre_id
     ORDER BY first, centre_id
"""  # noqa: S608  # our own words only
# What goes on to the end of its block: the days folded now, and the last running sums, onto days that have none yet.
TO_DATE = f"""
    , made AS (SELECT max(day) AS day FROM billing_usagetodate),
    parts AS (
        SELECT day, {WHOM}, {FIGURES} FROM gone JOIN billing_costcentre centre ON centre.id = gone.centre_id
        UNION ALL
        SELECT day + 1, {WHOM}, {FIGURES} FROM billing_usagetodate
         WHERE day = (SELECT day FROM made) AND {first_of("day", BLOCK_DAYS)} = {first_of("(day + 1)", BLOCK_DAYS)})
    INSERT INTO billing_usagetodate (day, {WHOM}, {FIGURES})
    SELECT parts.day + later AS on_day, {WHOM}, {_summed(FIGURES)}
      FROM parts CROSS JOIN made
     CROSS JOIN LATERAL (SELECT {first_of("parts.day", BLOCK_DAYS)} + {BLOCK_DAYS - 1} AS last) AS block
     CROSS JOIN LATERAL generate_series(0, least(block.last, greatest({{last}}, made.day)) - parts.day) AS later
     GROUP BY on_day, {WHOM} ORDER BY on_day, {WHOM}
"""  # noqa: S608  # our own words only
REBUILT = f"""
    INSERT INTO billing_usageday (day, centre_id, {FIGURES}, is_whole)
    SELECT day, centre_id, {_summed(FIGURES)}, true
      FROM (SELECT day, centre_id, CASE kind WHEN 'running' THEN us ELSE 0 END AS running_us,
                   CASE WHEN is_charged THEN us ELSE 0 END AS charged_us, CASE kind WHEN 'stopped' THEN us ELSE 0 END AS stopped_us,
                   CASE kind WHEN 'storage' THEN us ELSE 0 END AS storage_us, cost_usd, charge_usd, {SAVED} AS saved_usd,
                   0 AS machines_begun, 0 AS machines_ended
              FROM (SELECT *, (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us
                      FROM billing_usagerecord) AS timed
            UNION ALL
            SELECT (started_at AT TIME ZONE %(zone)s)::date, centre_id, 0, 0, 0, 0, 0, 0, 0, 1, 0
              FROM billing_subject WHERE vm IS NOT NULL
            UNION ALL
            SELECT {LAST_DAY.format("machine")}, centre_id, 0, 0, 0, 0, 0, 0, 0, 0, 1
              FROM billing_subject machine WHERE vm IS NOT NULL AND ended_at IS NOT NULL
           ) AS parts
     GROUP BY day, centre_id ORDER BY day, centre_id
"""  # noqa: S608  # our own words only
REBUILT_SUMS = f"WITH added AS (SELECT * FROM billing_usageday) {_add_sums(FIGURES).format(is_whole='true')}"  # noqa: S608
# Every two machines of a VM, the later one first.
AGREES = " + ".join(
    f"CASE WHEN centre.{column} IS NOT DISTINCT FROM before_centre.{column} THEN {bit} ELSE 0 END"
    for column, bit in BITS.items()
)
EVERY_TWO = f"""
    SELECT later.id AS subject_id, earlier.id AS before_id, later.centre_id, earlier.centre_id AS before_centre_id,
           (later.started_at AT TIME ZONE %(zone)s)::date AS day,
           CASE WHEN later.ended_at IS NOT NULL THEN {LAST_DAY.format("later")} END AS last_day,
           CASE WHEN earlier.ended_at IS NOT NULL THEN {LAST_DAY.format("earlier")} END AS before_last_day,
           {AGREES} AS agrees, count(*) OVER (PARTITION BY later.id) = 1 AS is_only
      FROM billing_subject later
      JOIN billing_subject earlier ON earlier.vm = later.vm AND (earlier.started_at, earlier.id) < (later.started_at, later.id)
      JOIN billing_costcentre centre ON centre.id = later.centre_id
      JOIN billing_costcentre before_centre ON before_centre.id = earlier.centre_id
"""  # noqa: S608  # our own words only
PAIR = "centre_id, before_centre_id, day, last_day, before_last_day, agrees, is_only"
TAKEOVERS = f"INSERT INTO billing_takeover (subject_id, before_id, {PAIR}) {EVERY_TWO}"  # our own words only


def pair_of(table: str) -> str:
    """What a table says of two machines."""
    return ", ".join(f"{table}.{name}" for name in PAIR.split(", "))


# What is counted anew, in the order in which it is locked; `fold` locks the first.
KEPT = (
    "billing_usagetodate",
    "billing_usageday",
    "billing_usagespan",
    "billing_usagesum",
    "billing_takeover",
)


def fold(now: datetime) -> int:
    """Makes one row of each day's additions, and spans and running sums of the days that are over; how many rows it wrote.

    Safe at any time, twice, at once. No figure changes.
    """
    written = 0
    with connection.cursor() as cursor:
        for statement in FOLDS:
            cursor.execute(statement)
            written += int(cursor.rowcount)
        with transaction.atomic():
            # Two at once would both go on from the same running sums.
            cursor.execute(f"LOCK TABLE {KEPT[0]} IN SHARE ROW EXCLUSIVE MODE")
            for statement in SPANS:
                cursor.execute(statement, {"today": day_of(now, zone())})
                written += int(cursor.rowcount)
    return written


def _spans() -> Iterator[str]:
    """From the shortest on, so that a span can be part of the next."""
    length = 2
    while length <= LONGEST_SPAN_DAYS:
        words = {
            "table": "billing_usagespan", "only": f"AND length < {LONGEST_SPAN_DAYS} AND length = {length // 2}",
            "first": first_of("day", length), "length": length, "is_longest": length == LONGEST_SPAN_DAYS,
        }  # fmt: skip
        if length == 2:
            words |= {"table": "billing_usageday", "only": ""}
            last = f"{first_of('%(today)s::date', 2)} - 1"
            yield f"{HALVES}, spans AS ({WHOLES}){TO_DATE}".format(**words, last=last)
        else:
            yield f"{HALVES}{WHOLES}".format(**words)
        length *= 2


SPANS = tuple(_spans())


def rebuild(now: datetime) -> int:
    """Gives each interval its day in the present zone and sums the days up; returns how many sums of a day there are.

    An interval from before the change that lies across a midnight of the new zone, half past an hour, counts to the day it
    began. Meters are cut again when the days are there; they are folded while meters go on.
    """
    count = _recount()
    fold(now)
    return count


@transaction.atomic
def _recount() -> int:
    told = {"zone": settings.BILLING_TIME_ZONE}
    with connection.cursor() as cursor:
        # Meters lock their machine's row first, and add to these tables in no order of tables: whoever has begun is waited for, and
        # whoever begins waits, before either holds what the other wants.
        cursor.execute("LOCK TABLE billing_subject IN EXCLUSIVE MODE")
        cursor.execute(f"LOCK TABLE {', '.join(KEPT)} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            "UPDATE billing_usagerecord SET day = (started_at AT TIME ZONE %(zone)s)::date"
            " WHERE day <> (started_at AT TIME ZONE %(zone)s)::date",
            told,
        )
        for table in KEPT:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # our own words only
        cursor.execute(REBUILT, told)
        count = int(cursor.rowcount)
        cursor.execute(REBUILT_SUMS)
        cursor.execute(TAKEOVERS, told)
        return count
