"""When machines that serve a VM begin and end, kept by day and centre, and which took over from which: so VMs are counted.

Call in the transaction of the fact, once the machine's row, which is locked, says it. Everybody locks the VM next, before
meters: two machines of one VM that begin at once each find the other.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.conf import settings

from billing.budgets.watch import zone
from billing.models import CostCentre, Subject
from billing.rating import day_of
from billing.services.days import COUNT, PAIR, TAKEOVERS, pair_of
from gamer import prepared

INSTANT = timedelta(microseconds=1)
# Advisory locks of VMs, apart from everybody else's.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('billing.vm:' || %(vm)s, 0))"
TAKEN_OVER = f"""
    {TAKEOVERS} WHERE later.vm = %(vm)s ON CONFLICT (subject_id, before_id) DO UPDATE
    SET ({PAIR}) = ({pair_of("excluded")})
    WHERE ({pair_of("billing_takeover")}) IS DISTINCT FROM ({pair_of("excluded")})
"""  # noqa: S608  # our own words only


def begins(subject: Subject) -> None:
    """A machine was not known before. It may have begun, and ended, long ago."""
    changes = [(_first_day(subject), subject.centre_id, 1, 0)]
    if subject.ended_at is not None:
        changes.append((_last_day(subject, subject.ended_at), subject.centre_id, 0, 1))
    _changed(subject, *changes)


def ends(subject: Subject, ended_at: datetime) -> None:
    """A machine that was there is proven gone."""
    _changed(subject, (_last_day(subject, ended_at), subject.centre_id, 0, 1))


def goes_on(subject: Subject, ended_at: datetime) -> None:
    """A machine that was thought to have ended is there after all, and was all the while."""
    _changed(subject, (_last_day(subject, ended_at), subject.centre_id, 0, -1))


def moves(subject: Subject, centre: CostCentre) -> None:
    """A machine that is there counts at another centre than its `centre`, from its beginning on."""
    day = _first_day(subject)
    _changed(subject, (day, subject.centre_id, -1, 0), (day, centre.pk, 1, 0))


def _first_day(subject: Subject) -> date:
    return day_of(subject.started_at, zone())


def _last_day(subject: Subject, ended_at: datetime) -> date:
    """Of the last moment it was there: midnight is not the next day's yet."""
    return day_of(max(subject.started_at, ended_at - INSTANT), zone())


def _changed(subject: Subject, *changes: tuple[date, int, int, int]) -> None:
    """Its row was written. `changes`: a day, a centre, and how many more machines began and ended."""
    if subject.vm is None:
        return
    days, centres, begun, ended = (list(column) for column in zip(*changes, strict=True))
    prepared.rows(LOCK, {"vm": str(subject.vm)})
    prepared.rows(TAKEN_OVER, {"vm": subject.vm, "zone": settings.BILLING_TIME_ZONE})
    prepared.rows(COUNT, {"days": days, "centres": centres, "begun": begun, "ended": ended})
