"""Full hours are closed: every meter that still runs since an earlier hour is cut there, in batches. By a schedule, every minute."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection, transaction

from billing.services import holds, metering
from gamer.crash import crash_point

BATCH = 5000


def close_hours(now: datetime, *, batch: int = BATCH) -> int:
    """Closes all full hours until now; returns how many meters were cut. Twice, at once, or after a crash: each second once.

    A batch is one transaction. Meters that somebody else is about to cut are passed over: they cut these hours themselves, or
    are found by the next pass.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    cut = 0
    while True:
        with transaction.atomic():
            ids = _claim(hour, batch)
            if not ids:
                return cut
            crash_point("hours.claimed")
            metering.close(ids, hour)
            holds.renew(ids, now)
            crash_point("hours.inside")
        cut += len(ids)
        crash_point("hours.after")


def _claim(hour: datetime, limit: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT subject_id FROM billing_meter WHERE since < %s ORDER BY subject_id LIMIT %s FOR UPDATE SKIP LOCKED",
            [hour, limit],
        )
        return [row[0] for row in cursor.fetchall()]
