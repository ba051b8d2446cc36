"""Full hours are closed: every meter that still runs since an earlier hour is cut there, in batches. By a schedule, every minute."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction

from billing.services import holds, metering
from gamer.crash import crash_point

BATCH = 5000


def close_hours(now: datetime, *, batch: int = BATCH) -> int:
    """Closes all full hours until now; returns how many meters were cut. Twice, at once, or after a crash: each second once.

    A batch is one transaction. Meters that somebody else is about to cut are passed over: they cut these hours themselves, or
    are found by the next pass.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    since, cut, last = metering.oldest(hour), 0, (0, 0)
    while since is not None:
        with transaction.atomic():
            closed = metering.close_next(since, hour, after=last, limit=batch)
            if not closed:
                break
            crash_point("hours.closed")
            holds.renew([subject for _, subject in closed], now)
            crash_point("hours.inside")
        cut, last = cut + len(closed), closed[-1]
        crash_point("hours.after")
    return cut
