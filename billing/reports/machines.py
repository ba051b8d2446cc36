"""What single VMs have used in a period: for lists that name them. Billing knows their ids only; who asks knows the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from billing.periods import Period
from billing.reports.figures import Filters, chosen_centres
from billing.sight import Sight

PAGE = """
    WITH page AS MATERIALIZED (
        SELECT subject.vm, max(subject.started_at) AS latest
        FROM billing_subject subject
        WHERE subject.vm IS NOT NULL AND (subject.started_at >= %(starts_at)s AND subject.started_at < %(ends_at)s
               OR subject.started_at < %(starts_at)s AND tstzrange(subject.started_at, subject.ended_at) @> %(starts_at)s::timestamptz)
          {narrow}
        GROUP BY subject.vm ORDER BY latest DESC, subject.vm LIMIT %(limit)s OFFSET %(skip)s),
    machines AS MATERIALIZED (
        SELECT page.vm, page.latest, subject.id, subject.centre_id, subject.started_at FROM page
        JOIN billing_subject subject ON subject.vm = page.vm
        WHERE true {narrow}),
    used AS (
        SELECT machines.vm, CASE WHEN record.kind <> 'storage' THEN record.ended_at - record.started_at END AS billed,
               CASE WHEN record.is_charged THEN record.ended_at - record.started_at END AS charged,
               record.cost_usd, record.charge_usd
        FROM machines JOIN billing_usagerecord record ON record.subject_id = machines.id
        WHERE record.day BETWEEN %(start)s AND %(end)s {of_records}
        UNION ALL
        SELECT machines.vm, CASE WHEN meter.kind <> 'storage' THEN span.upper - span.lower END,
               CASE WHEN meter.is_charged THEN span.upper - span.lower END,
               billing_total(meter.cost_usd_per_hour, meter.origin, span.upper)
                 - billing_total(meter.cost_usd_per_hour, meter.origin, span.lower),
               billing_total(meter.charge_usd_per_hour, meter.origin, span.upper)
                 - billing_total(meter.charge_usd_per_hour, meter.origin, span.lower)
        FROM machines JOIN billing_meter meter ON meter.subject_id = machines.id
        CROSS JOIN LATERAL (SELECT greatest(meter.since, %(starts_at)s) AS lower,
                                   least(%(now)s, %(ends_at)s) AS upper) AS span
        WHERE span.upper > span.lower {of_meters})
    SELECT newest.vm, centre.console, centre.preset, centre.provider,
           coalesce(extract(epoch FROM sum(used.billed)) * 1000000, 0)::bigint,
           coalesce(extract(epoch FROM sum(used.charged)) * 1000000, 0)::bigint,
           coalesce(sum(used.cost_usd), 0), coalesce(sum(used.charge_usd), 0)
    FROM (SELECT DISTINCT ON (vm) vm, latest, centre_id FROM machines ORDER BY vm, started_at DESC) AS newest
    JOIN billing_costcentre centre ON centre.id = newest.centre_id
    LEFT JOIN used ON used.vm = newest.vm
    GROUP BY newest.vm, newest.latest, centre.console, centre.preset, centre.provider
    ORDER BY newest.latest DESC, newest.vm
"""


@dataclass(frozen=True, slots=True)
class VmUsage:
    """One VM's part of a period, all its machines together; console and preset are those of its latest."""

    vm: UUID
    console: str
    preset: str
    provider: str
    provider_us: int
    charged_us: int
    cost_usd: Decimal
    charge_usd: Decimal


def usage_of_vms(
    *, period: Period, sight: Sight, filters: Filters, now: datetime, limit: int, skip: int = 0
) -> Sequence[VmUsage]:
    """A page of the VMs that had a machine in the period, the newest first; one statement beside the centres'."""
    centres = chosen_centres(sight, filters)
    # A VM that was moved has left money behind, which stays where it was.
    narrow, of_records, of_meters = (
        f"AND {table}.centre_id = ANY(%(centres)s)" if centres is not None else ""
        for table in ("subject", "record", "meter")
    )
    with connection.cursor() as cursor:
        cursor.execute(
            PAGE.format(narrow=narrow, of_records=of_records, of_meters=of_meters),
            {
                "start": period.start, "end": period.end, "starts_at": period.starts_at, "ends_at": period.ends_at, "now": now,
                "centres": list(centres or ()), "limit": limit, "skip": skip,
            },
        )  # fmt: skip
        return [VmUsage(*row) for row in cursor.fetchall()]
