"""Takes samples, rolls them up, forgets them. Every statement is set-based; a repeat of any of it changes nothing.

Samples become minutes, minutes become hours; each is kept for a while of its own (settings.METRICS_KEPT) and never forgotten
before the next level has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from gamer import tallies
from gamer.queue import schedules
from monitoring import statements
from monitoring.measures import LATE, Reading, floor, sift
from monitoring.models import Progress, Sample

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# A minute is rolled up so long after its end. What is older than `LATE_AFTER` when it comes is marked, and rolled up again;
# the minute between the two is the time that an INSERT may take and clocks of ours may differ.
CLOSES_AFTER, LATE_AFTER = timedelta(minutes=2), timedelta(minutes=1)
# Rolled up in one transaction: 2,000 machines tell 80,000 samples in ten minutes.
STRETCH = timedelta(minutes=10)
MOST_LATE = 5_000
BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many samples are new, and how many readings or values were refused, by the reason (`measures.sift`)."""

    taken: int
    refused: Mapping[str, int]


def record(*, subject: UUID, samples: Sequence[Reading], now: datetime) -> Recorded:
    """Takes what a subject measured, in one statement; what cannot be is refused and counted, never an error.

    Call it with no transaction open: what is counted is shared by all processes.
    """
    rows, refused = sift(samples, now)
    taken = 0
    if rows:
        values: dict[str, Any] = {
            "subject": subject,
            "ats": [row.at for row in rows],
            "numbers": [
                ",".join("" if one is None else repr(float(one)) for one in row.numbers) for row in rows
            ],
            "late_before": now - LATE_AFTER,
        }
        with connection.cursor() as cursor:
            cursor.execute(statements.RECORD, values)
            taken = cursor.fetchone()[0]
        if taken < len(rows):
            refused["again"] = refused.get("again", 0) + len(rows) - taken
    for reason, count in refused.items():
        tallies.add("samples_refused", count, reason=reason)
    if refused:
        tallies.flush(within_s=tallies.FLUSH_S)
    return Recorded(taken, refused)


def roll_up(*, now: datetime, most: timedelta = timedelta(hours=12)) -> bool:
    """Rolls up what is over, and again what came late; whether that is all. One process at a time, others wait.

    Time is gone through in stretches, each a transaction, `most` of it in one call.
    """
    ended = floor(now - CLOSES_AFTER, MINUTE)
    stop = ended
    for _ in range(max(1, most // STRETCH)):
        stop = _roll_up_stretch(ended)
        if stop >= ended:
            break
    while _roll_up_late():
        pass
    return stop >= ended


def _roll_up_stretch(ended: datetime) -> datetime:
    """Minutes, and the hours they complete. Answers how far minutes have come."""
    with transaction.atomic():
        minutes = _progress("minute", ended)
        hours = _progress("hour", floor(minutes.until, HOUR))
        until = min(ended, minutes.until + STRETCH)
        if until <= minutes.until:
            return minutes.until
        _run(statements.MINUTES, since=minutes.until, until=until)
        if hours.until < floor(until, HOUR):
            _run(statements.HOURS, since=hours.until, until=floor(until, HOUR))
            Progress.objects.filter(pk="hour").update(until=floor(until, HOUR))
        Progress.objects.filter(pk="minute").update(until=until)
    return until


def _roll_up_late() -> bool:
    """Minutes whose samples came late, and their hours; whether there may be more."""
    with transaction.atomic():
        minutes = Progress.objects.select_for_update().filter(pk="minute").first()
        if minutes is None:
            return False
        # The marks go first: a sample that comes from here on waits for us and makes a mark of its own.
        with connection.cursor() as cursor:
            cursor.execute(statements.TAKE_LATE, {"before": minutes.until, "most": MOST_LATE})
            marked: set[tuple[UUID, datetime]] = set(cursor.fetchall())
        if not marked:
            return False
        hours_until = Progress.objects.values_list("until", flat=True).get(pk="hour")
        _run_these(statements.LATE_MINUTES, marked, MINUTE)
        hours = {(subject, floor(at, HOUR)) for subject, at in marked if at < hours_until}
        if hours:
            _run_these(statements.LATE_HOURS, hours, HOUR)
    return len(marked) == MOST_LATE


def _progress(level: str, ended: datetime) -> Progress:
    """How far a level is, locked. The first time, it begins with the first sample, or here."""
    row = Progress.objects.select_for_update().filter(pk=level).first()
    if row is None:
        first = Sample.objects.order_by("at").values_list("at", flat=True).first()
        since = min(ended, floor(first, HOUR if level == "hour" else MINUTE)) if first is not None else ended
        Progress.objects.get_or_create(level=level, defaults={"until": since})
        row = Progress.objects.select_for_update().get(pk=level)
    return row


def _run(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _run_these(statement: str, steps: set[tuple[UUID, datetime]], length: timedelta) -> None:
    moments = [at for _, at in steps]
    _run(
        statement,
        subjects=[subject for subject, _ in steps],
        steps=moments,
        since=min(moments),
        until=max(moments) + length,
    )


def forget(*, now: datetime, most: int = 2_000_000) -> int:
    """Deletes what is kept no longer, in batches, each a transaction of its own; how many rows.

    Nothing goes that the next level does not have yet, however long nobody has rolled up.
    """
    kept: Mapping[str, timedelta] = settings.METRICS_KEPT
    until = dict(Progress.objects.values_list("level", "until"))
    before = {
        "sample": min(now - kept["sample"], until.get("minute", now - kept["sample"] - LATE)),
        "minute": min(now - kept["minute"], until.get("hour", now - kept["minute"] - LATE)),
        "hour": now - kept["hour"],
    }
    gone = 0
    for level, moment in before.items():
        while gone < most:
            count = _run(
                statements.FORGET.format(table=f"monitoring_{level}"),
                before=moment,
                most=min(BATCH, most - gone),
            )
            gone += count
            if count < BATCH:
                break
    return gone


def seed_demo(*, subject: UUID, since: datetime, until: datetime, now: datetime) -> int:
    """Made-up minutes, and their hours, of a machine somebody played on in that time; how many. What is there already stays.

    Only for shows: what was measured and what was made up cannot be told apart afterwards. Not for a time that may still be told.
    """
    roll_up(now=now)
    since, until = floor(since, MINUTE), min(floor(until, MINUTE), floor(now - LATE, MINUTE)) - MINUTE
    made = _run(statements.DEMO, subject=subject, since=since, until=until)
    first, hours_until = floor(since, HOUR), Progress.objects.values_list("until", flat=True).get(pk="hour")
    hours = {(subject, first + number * HOUR) for number in range((until - first) // HOUR + 1)}
    hours = {(one, at) for one, at in hours if at < hours_until}
    if hours:
        _run_these(statements.LATE_HOURS, hours, HOUR)
    return made


def seed(now: datetime) -> None:
    """Has samples rolled up every minute, and forgotten every ten."""
    schedules.keep("roll up metrics", "monitoring.tasks.roll_up", minutes=1)
    schedules.keep("forget old metrics", "monitoring.tasks.forget", minutes=10)
