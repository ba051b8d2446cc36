"""The daily sums, counted anew from the intervals. Every day they are kept by `metering` itself."""

from __future__ import annotations

from django.conf import settings
from django.db import connection, transaction


@transaction.atomic
def rebuild() -> int:
    """Gives each interval its day in the present zone and sums the days up; returns how many sums there are.

    An interval from before the change that lies across a midnight of the new zone, half past an hour, counts to the day it
    began. Meters are cut again when this is over.
    """
    zone = {"zone": settings.BILLING_TIME_ZONE}
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE billing_usageday IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            "UPDATE billing_usagerecord SET day = (started_at AT TIME ZONE %(zone)s)::date"
            " WHERE day <> (started_at AT TIME ZONE %(zone)s)::date",
            zone,
        )
        cursor.execute("DELETE FROM billing_usageday")
        cursor.execute(
            """
            INSERT INTO billing_usageday (day, centre_id, running_us, charged_us, stopped_us, storage_us, cost_usd, charge_usd)
            SELECT day, centre_id,
                   coalesce(sum(us) FILTER (WHERE kind = 'running'), 0), coalesce(sum(us) FILTER (WHERE is_charged), 0),
                   coalesce(sum(us) FILTER (WHERE kind = 'stopped'), 0), coalesce(sum(us) FILTER (WHERE kind = 'storage'), 0),
                   sum(cost_usd), sum(charge_usd)
              FROM (SELECT *, (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us
                      FROM billing_usagerecord) AS timed
             GROUP BY day, centre_id
            """
        )
        return int(cursor.rowcount)
