"""The daily sums: added to by `metering` in the transaction of every cut, folded by a schedule, counted anew when asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

FIGURES = "running_us, charged_us, stopped_us, storage_us, cost_usd, charge_usd, vms_begun"
SUMMED = ", ".join(f"sum({name}) AS {name}" for name in FIGURES.split(", "))
DIMENSIONS = "provider, provider_account, region, console, preset, project_id, department_id"

# Adds `added` (by day and centre) to the centres' days, in a fixed order, as everybody locks them.
ADD_DAYS = f"""
    INSERT INTO billing_usageday AS sums (day, centre_id, {FIGURES})
    SELECT day, centre_id, {FIGURES} FROM added ORDER BY day, centre_id
    ON CONFLICT (day, centre_id) DO UPDATE SET
    {", ".join(f"{name} = sums.{name} + excluded.{name}" for name in FIGURES.split(", "))}
"""  # noqa: S608  # our own words only
# … and once for every face of the coarse sums, as rows of their own.
ADD_SUMS = f"""
    INSERT INTO billing_usagesum (day, face, {DIMENSIONS}, {FIGURES}, is_whole)
    SELECT day, CASE grouping(provider, console, department_id) WHEN 7 THEN 'all' WHEN 3 THEN 'place' WHEN 5 THEN 'game'
           WHEN 1 THEN 'product' ELSE 'tenant' END,
           coalesce(provider, ''), provider_account, coalesce(region, ''), coalesce(console, ''), coalesce(preset, ''),
           project_id, department_id, {SUMMED}, {{is_whole}}
      FROM added JOIN billing_costcentre centre ON centre.id = added.centre_id
     GROUP BY GROUPING SETS ((day), (day, provider, provider_account, region), (day, console, preset),
                             (day, provider, provider_account, region, console, preset), (day, project_id, department_id))
"""  # noqa: S608  # our own words only
COUNT = f"""
    WITH added AS (
        SELECT (%(at)s::timestamptz AT TIME ZONE %(zone)s)::date AS day, centre_id, 0 AS running_us, 0 AS charged_us,
               0 AS stopped_us, 0 AS storage_us, 0 AS cost_usd, 0 AS charge_usd, vms_begun
          FROM unnest(%(centres)s::bigint[], %(counts)s::int[]) AS told (centre_id, vms_begun)),
    days AS ({ADD_DAYS})
    {ADD_SUMS.format(is_whole="false")}
"""  # noqa: S608  # our own words only
# Whoever folds at once finds the rows gone, and the other's not there yet.
FOLD = f"""
    WITH gone AS (
        DELETE FROM billing_usagesum
         WHERE (face, day) IN (SELECT face, day FROM billing_usagesum WHERE NOT is_whole) RETURNING *)
    INSERT INTO billing_usagesum (day, face, {DIMENSIONS}, {FIGURES}, is_whole)
    SELECT day, face, {DIMENSIONS}, {SUMMED}, true FROM gone GROUP BY day, face, {DIMENSIONS}
"""  # noqa: S608  # our own words only
REBUILT = f"""
    INSERT INTO billing_usageday (day, centre_id, {FIGURES})
    SELECT day, centre_id, {SUMMED}
      FROM (SELECT day, centre_id, CASE kind WHEN 'running' THEN us ELSE 0 END AS running_us,
                   CASE WHEN is_charged THEN us ELSE 0 END AS charged_us, CASE kind WHEN 'stopped' THEN us ELSE 0 END AS stopped_us,
                   CASE kind WHEN 'storage' THEN us ELSE 0 END AS storage_us, cost_usd, charge_usd, 0 AS vms_begun
              FROM (SELECT *, (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us
                      FROM billing_usagerecord) AS timed
            UNION ALL
            SELECT (started_at AT TIME ZONE %(zone)s)::date, centre_id, 0, 0, 0, 0, 0, 0, 1 FROM billing_subject WHERE is_counted
           ) AS parts
     GROUP BY day, centre_id
"""  # noqa: S608  # our own words only
REBUILT_SUMS = f"WITH added AS (SELECT * FROM billing_usageday) {ADD_SUMS.format(is_whole='true')}"  # noqa: S608


def count_vms(counts: Mapping[int, int], at: datetime) -> None:
    """Adds to how many VMs began at a centre on the day of a moment; a VM that moves is taken from one and given to another."""
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT,
            {
                "centres": list(counts),
                "counts": list(counts.values()),
                "at": at,
                "zone": settings.BILLING_TIME_ZONE,
            },
        )


def fold() -> int:
    """Makes one row of each day's additions to a coarse sum; returns how many rows that left. Safe at any time, twice, at once."""
    with connection.cursor() as cursor:
        cursor.execute(FOLD)
        return int(cursor.rowcount)


@transaction.atomic
def rebuild() -> int:
    """Gives each interval its day in the present zone and sums the days up; returns how many sums there are.

    An interval from before the change that lies across a midnight of the new zone, half past an hour, counts to the day it
    began. Meters are cut again when this is over.
    """
    zone = {"zone": settings.BILLING_TIME_ZONE}
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE billing_usageday, billing_usagesum IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            "UPDATE billing_usagerecord SET day = (started_at AT TIME ZONE %(zone)s)::date"
            " WHERE day <> (started_at AT TIME ZONE %(zone)s)::date",
            zone,
        )
        cursor.execute("DELETE FROM billing_usageday")
        cursor.execute("DELETE FROM billing_usagesum")
        cursor.execute(REBUILT, zone)
        count = int(cursor.rowcount)
        cursor.execute(REBUILT_SUMS)
        return count
