"""When machines that serve a VM begin and end, kept by day and centre, and which took over from which: so VMs are counted.

Call in the transaction of the fact, which has the machine's row locked. Everybody locks the VM next, before meters and days: two
machines of one VM that begin at once each find the other.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import connection

from billing.budgets.watch import zone
from billing.models import CostCentre, Subject
from billing.rating import day_of
from billing.services.days import COUNT, TAKEOVERS

INSTANT = timedelta(microseconds=1)
# Advisory locks of VMs, apart from everybody else's.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('billing.vm:' || %s, 0))"
LAST = """
    WITH later AS (UPDATE billing_takeover SET last_day = %(day)s WHERE subject_id = %(subject)s)
    UPDATE billing_takeover SET before_last_day = %(day)s WHERE before_id = %(subject)s
"""
MOVED = """
    WITH later AS (UPDATE billing_takeover SET centre_id = %(centre)s WHERE subject_id = %(subject)s)
    UPDATE billing_takeover SET before_centre_id = %(centre)s WHERE before_id = %(subject)s
"""
TAKEN_OVER = f"{TAKEOVERS} WHERE later.vm = %(vm)s AND %(subject)s IN (later.id, earlier.id)"


def begins(subject: Subject) -> None:
    """A machine was not known before. It may have begun, and ended, long ago."""
    if subject.vm is None:
        return
    _lock(subject)
    told = {"vm": subject.vm, "subject": subject.pk, "zone": settings.BILLING_TIME_ZONE}
    with connection.cursor() as cursor:
        cursor.execute(TAKEN_OVER, told)
    changes = [(_first_day(subject), subject.centre_id, 1, 0)]
    if subject.ended_at is not None:
        changes.append((_last_day(subject, subject.ended_at), subject.centre_id, 0, 1))
    _count(*changes)


def ends(subject: Subject, ended_at: datetime) -> None:
    """A machine that was there is proven gone."""
    if subject.vm is None:
        return
    day = _last_day(subject, ended_at)
    _tell(subject, LAST, day=day)
    _count((day, subject.centre_id, 0, 1))


def goes_on(subject: Subject) -> None:
    """A machine that had ended is there after all, and was all the while. Its row still says when it ended."""
    if subject.vm is None or subject.ended_at is None:
        return
    _tell(subject, LAST, day=None)
    _count((_last_day(subject, subject.ended_at), subject.centre_id, 0, -1))


def moves(subject: Subject, centre: CostCentre) -> None:
    """A machine that is there counts at another centre, from its beginning on."""
    if subject.vm is None:
        return
    _tell(subject, MOVED, centre=centre.pk)
    day = _first_day(subject)
    _count((day, subject.centre_id, -1, 0), (day, centre.pk, 1, 0))


def _first_day(subject: Subject) -> date:
    return day_of(subject.started_at, zone())


def _last_day(subject: Subject, ended_at: datetime) -> date:
    """Of the last moment it was there: midnight is not the next day's yet."""
    return day_of(max(subject.started_at, ended_at - INSTANT), zone())


def _lock(subject: Subject) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [str(subject.vm)])


def _tell(subject: Subject, statement: str, **told: object) -> None:
    _lock(subject)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"subject": subject.pk, **told})


def _count(*changes: tuple[date, int, int, int]) -> None:
    """Day, centre, and how many more began and ended."""
    days, centres, begun, ended = (list(column) for column in zip(*changes, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"days": days, "centres": centres, "begun": begun, "ended": ended})
