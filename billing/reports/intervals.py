"""Every interval behind a report, one by one, however many there are: closed ones, and what the open meters have used so far.

They sum to the report of the same moment, to the last digit.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from billing.periods import Period
from billing.reports.figures import EVERYTHING, Filters, chosen_centres
from billing.sight import Sight

AT_ONCE = 2_000
COLUMNS = (
    "day", "started_at", "ended_at", "kind", "is_charged", "cost_usd_per_hour", "charge_usd_per_hour", "cost_usd", "charge_usd",
    "machine", "vm_id", "provider", "region", "console", "preset", "user_id", "project", "department", "interval", "entry",
)  # fmt: skip
# `interval` is empty for what is not closed yet, `entry` for what nobody was charged for.
ALL = """
    SELECT used.day, used.started_at, used.ended_at, used.kind, used.is_charged, used.cost_usd_per_hour, used.charge_usd_per_hour,
           used.cost_usd, used.charge_usd, subject.key, subject.vm, centre.provider, centre.region, centre.console, centre.preset,
           person.handle, project.name, department.name, used.id, leg.entry_id
    FROM (SELECT id, subject_id, centre_id, day, started_at, ended_at, kind, is_charged, cost_usd_per_hour, charge_usd_per_hour,
                 cost_usd, charge_usd
          FROM billing_usagerecord WHERE day BETWEEN %(start)s AND %(end)s {narrow}
          UNION ALL
          SELECT NULL, meter.subject_id, meter.centre_id, span.day, span.lower, span.upper, meter.kind, meter.is_charged,
                 meter.cost_usd_per_hour, meter.charge_usd_per_hour,
                 billing_total(meter.cost_usd_per_hour, meter.origin, span.upper)
                   - billing_total(meter.cost_usd_per_hour, meter.origin, span.lower),
                 billing_total(meter.charge_usd_per_hour, meter.origin, span.upper)
                   - billing_total(meter.charge_usd_per_hour, meter.origin, span.lower)
          FROM billing_meter meter
          CROSS JOIN LATERAL (
              SELECT local::date AS day, greatest(meter.since, local AT TIME ZONE %(zone)s) AS lower,
                     least(%(now)s, (local + interval '1 day') AT TIME ZONE %(zone)s) AS upper
              FROM generate_series(date_trunc('day', meter.since AT TIME ZONE %(zone)s), %(now)s AT TIME ZONE %(zone)s,
                                   interval '1 day') AS local) AS span
          WHERE span.upper > span.lower AND span.day BETWEEN %(start)s AND %(end)s {narrow}) AS used
    JOIN billing_subject subject ON subject.id = used.subject_id
    JOIN billing_costcentre centre ON centre.id = used.centre_id
    LEFT JOIN billing_leg leg ON leg.record_id = used.id
    LEFT JOIN accounts_user person ON person.id = centre.user_id
    LEFT JOIN accounts_project project ON project.id = centre.project_id
    LEFT JOIN accounts_department department ON department.id = centre.department_id
"""


def intervals(
    *, period: Period, sight: Sight, now: datetime, filters: Filters = EVERYTHING
) -> Generator[tuple[Any, ...]]:
    """Values in the order of COLUMNS, read by a cursor of the server's: as they come, never all at once."""
    centres = chosen_centres(sight, filters)
    statement = ALL.format(narrow="AND centre_id = ANY(%(centres)s)" if centres is not None else "")
    asked: dict[str, Any] = {
        "start": period.start, "end": period.end, "zone": period.zone.key, "now": now, "centres": list(centres or ()),
    }  # fmt: skip
    # Outside of a transaction the server would write the whole result down before it gives the first row.
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(statement, asked)
        while rows := cursor.fetchmany(AT_ONCE):
            yield from rows


def count(*, period: Period, sight: Sight, filters: Filters, most: int) -> int:
    """How many closed intervals there are; never counts beyond `most` + 1."""
    centres = chosen_centres(sight, filters)
    narrow = "AND centre_id = ANY(%(centres)s)" if centres is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT count(*) FROM (SELECT FROM billing_usagerecord WHERE day BETWEEN %(start)s AND %(end)s {narrow}
                                      LIMIT %(most)s) AS found""",  # noqa: S608  # our own words only
            {"start": period.start, "end": period.end, "centres": list(centres or ()), "most": most + 1},
        )
        return int(cursor.fetchone()[0])
