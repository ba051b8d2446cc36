"""A machine's meter: begun, changed, ended. Whatever an interval cost is written when it is cut, with its charge and its day's sum.

Callers say what is so (`follow`), as often as they like: nothing happens when it was so already. Call inside the transaction
of the fact: they join it. Locks are taken in one order by everybody: subject, meter, day, account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from billing import ledger, rating
from billing.models import CostCentre, Meter, Subject
from billing.models.usage import UsageKind
from billing.services import days
from billing.services.prices import Price

ACTOR = "policy:metering"


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What reports group by; one row of CostCentre."""

    payer_id: int
    provider: str
    console: str
    preset: str
    provider_account: int | None = None
    region: str = ""
    user_id: int | None = None
    project_id: int | None = None
    department_id: int | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as it begins to cost."""

    dimensions: Dimensions
    price: Price
    started_at: datetime
    vm: UUID | None = None


@dataclass(frozen=True, slots=True)
class State:
    """How a machine is; `kind` None: as it was. `stopped_usd_per_hour` is what it costs while stopped, where that is known."""

    kind: UsageKind | None
    is_charged: bool = False
    stopped_usd_per_hour: Decimal | None = None


@transaction.atomic(savepoint=False)
def follow(*, key: str, state: State | None, now: datetime, describe: Callable[[], Machine]) -> None:
    """Has the meter of a machine run as it is from now on; `state` None: it is proven gone.

    `describe` is asked once per machine, when it is first heard of. A machine that was called gone and is back goes on
    where it ended, for it cost all the while.
    """
    subject = Subject.objects.select_for_update(no_key=True).filter(key=key).first()
    if subject is None:
        if state is None:
            return
        subject = _begin(key, describe())
    meter = Meter.objects.select_for_update().filter(pk=subject.pk).first()
    if state is None:
        if meter is not None:
            close([subject.pk], now)
            meter.delete()
        if subject.ended_at is None:
            ended_at = max(now, subject.started_at, meter.since if meter is not None else now)
            Subject.objects.filter(pk=subject.pk).update(ended_at=ended_at)
        return
    if meter is None:
        # What it was before we heard of it is the provider's to bill, and nobody's to pay.
        since = subject.ended_at or subject.started_at
        Subject.objects.filter(pk=subject.pk).update(ended_at=None)
        before = _wanted(subject, State(UsageKind.RUNNING))
        meter = Meter(subject=subject, centre_id=subject.centre_id, origin=since, since=since, **before)
        meter.save(force_insert=True)
    wanted = _wanted(subject, state, meter.kind)
    if state.stopped_usd_per_hour not in (None, subject.stopped_usd_per_hour):
        Subject.objects.filter(pk=subject.pk).update(stopped_usd_per_hour=state.stopped_usd_per_hour)
    if wanted != {name: getattr(meter, name) for name in wanted}:
        close([subject.pk], now)
        since = max(meter.since, now)
        Meter.objects.filter(pk=subject.pk).update(since=since, origin=since, **wanted)


@transaction.atomic(savepoint=False)
def move(*, vm: UUID, dimensions: Callable[[CostCentre], Dimensions], now: datetime) -> None:
    """Has a VM's machines count to another cost centre from now on, because its project or its payer changed."""
    subjects = Subject.objects.select_for_update(no_key=True).filter(vm=vm, ended_at=None).order_by("pk")
    for subject in subjects.select_related("centre"):
        centre = centre_of(dimensions(subject.centre))
        if centre.pk == subject.centre_id:
            continue
        meter = Meter.objects.select_for_update().filter(pk=subject.pk).first()
        Subject.objects.filter(pk=subject.pk).update(centre=centre)
        if subject.is_counted:
            days.count_vms({subject.centre_id: -1, centre.pk: 1}, subject.started_at)
        if meter is not None:
            close([subject.pk], now)
            since = max(meter.since, now)
            Meter.objects.filter(pk=subject.pk).update(since=since, origin=since, centre=centre)


def centre_of(dimensions: Dimensions) -> CostCentre:
    columns = {name: getattr(dimensions, name) for name in dimensions.__slots__}
    found = CostCentre.objects.filter(**columns).first()
    if found is None:
        CostCentre.objects.bulk_create([CostCentre(**columns)], ignore_conflicts=True)
        found = CostCentre.objects.get(**columns)
    return found


def _begin(key: str, machine: Machine) -> Subject:
    price = machine.price
    row = Subject(
        key=key,
        vm=machine.vm,
        centre=centre_of(machine.dimensions),
        price_source=price.source,
        rate_id=price.rate_id,
        factors=list(price.factor_ids),
        margin_id=price.margin_id,
        cost_usd_per_hour=price.cost_usd_per_hour,
        stopped_usd_per_hour=price.cost_usd_per_hour,
        charge_usd_per_hour=price.charge_usd_per_hour,
        started_at=machine.started_at,
    )
    Subject.objects.bulk_create([row], ignore_conflicts=True)
    subject = Subject.objects.select_for_update(no_key=True).get(key=key)
    stand_for_vm(subject)
    return subject


def stand_for_vm(subject: Subject) -> None:
    """Has a machine, whose row the caller has locked, be the one its VM is counted by, where no other is."""
    if subject.vm is None or Subject.objects.filter(vm=subject.vm, is_counted=True).exists():
        return
    Subject.objects.filter(pk=subject.pk).update(is_counted=True)
    subject.is_counted = True
    days.count_vms({subject.centre_id: 1}, subject.started_at)


def _wanted(subject: Subject, state: State, was: str = UsageKind.RUNNING) -> dict[str, object]:
    kind = state.kind or was
    is_running = kind == UsageKind.RUNNING
    stopped = (
        subject.stopped_usd_per_hour if state.stopped_usd_per_hour is None else state.stopped_usd_per_hour
    )
    return {
        "kind": kind,
        "is_charged": state.is_charged,
        "cost_usd_per_hour": subject.cost_usd_per_hour if is_running else stopped,
        "charge_usd_per_hour": subject.charge_usd_per_hour if state.is_charged else Decimal(0),
    }


def close(subject_ids: Sequence[int], until: datetime) -> None:
    """Leaves records of what the meters of these subjects ran until a moment, sums them up by day and posts their charges.

    The caller has locked the subjects' rows. A meter that is already there, or beyond because a clock went back, leaves nothing.
    """
    _cut(THESE, until, subjects=list(subject_ids))


def close_next(until: datetime, *, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
    """The same for the next meters that run since before a moment, by cost centre, as (centre, subject) of each.

    Meters that somebody else is about to cut are passed over. A payer's machines come together, so that the sums of their
    days and their balance are moved once, not in every batch.
    """
    return _cut(NEXT, until, centre=after[0], subject=after[1], limit=limit)


def _cut(which: str, until: datetime, **chosen: object) -> list[tuple[int, int]]:
    zone = ZoneInfo(settings.BILLING_TIME_ZONE)
    last = until - timedelta(microseconds=1)
    day = rating.day_of(last, zone)
    hour = last.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    told = {
        "until": until,
        "day": day,
        "edge": max(hour, rating.day_bounds(day, zone)[0]),
        "zone": zone.key,
        "actor": ACTOR,
        "ours": ledger.house(ledger.REVENUE).pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(which, {**told, **chosen})
        return cursor.fetchall()


# One statement for one meter or for thousands: intervals, their sums, the entry that charges them, and the meters' new beginnings.
# Intervals end at full UTC hours and at the zone's midnights. The usual one began after the last of these edges and is whole; only
# others are taken apart.
CUT = f"""
WITH due AS ({{due}}),
pieces AS (
    SELECT due.*, since AS started_at, %(until)s::timestamptz AS ended_at, %(day)s::date AS day FROM due WHERE since >= %(edge)s
    UNION ALL
    SELECT due.*, edges.at, edges.next, (edges.at AT TIME ZONE %(zone)s)::date
      FROM due, LATERAL (
        SELECT at, lead(at, 1, %(until)s::timestamptz) OVER (ORDER BY at) AS next
          FROM (SELECT due.since AS at
                UNION SELECT generate_series(date_trunc('hour', due.since, 'UTC') + interval '1 hour',
                                             %(until)s::timestamptz - interval '1 microsecond', interval '1 hour')
                UNION SELECT day AT TIME ZONE %(zone)s
                        FROM generate_series(((due.since AT TIME ZONE %(zone)s)::date + 1)::timestamp,
                                             (%(until)s::timestamptz AT TIME ZONE %(zone)s)::date::timestamp, interval '1 day') AS day
                       WHERE day AT TIME ZONE %(zone)s < %(until)s) AS ats) AS edges
     WHERE since < %(edge)s),
closed AS (
    INSERT INTO billing_usagerecord (subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged,
                                     cost_usd_per_hour, charge_usd_per_hour, cost_usd, charge_usd)
    SELECT subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged, cost_usd_per_hour, charge_usd_per_hour,
           billing_total(cost_usd_per_hour, origin, ended_at) - billing_total(cost_usd_per_hour, origin, started_at),
           billing_total(charge_usd_per_hour, origin, ended_at) - billing_total(charge_usd_per_hour, origin, started_at)
      FROM pieces ORDER BY centre_id, subject_id, started_at
    RETURNING *),
added AS (
    SELECT day, centre_id,
           coalesce(sum(us) FILTER (WHERE kind = 'running'), 0) AS running_us,
           coalesce(sum(us) FILTER (WHERE is_charged), 0) AS charged_us,
           coalesce(sum(us) FILTER (WHERE kind = 'stopped'), 0) AS stopped_us,
           coalesce(sum(us) FILTER (WHERE kind = 'storage'), 0) AS storage_us,
           sum(cost_usd) AS cost_usd, sum(charge_usd) AS charge_usd, 0 AS vms_begun
      FROM (SELECT *, (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us FROM closed) AS timed
     GROUP BY day, centre_id),
days AS ({days.ADD_DAYS}),
sums AS ({days.ADD_SUMS.format(is_whole="false")}),
{ledger.CHARGE},
moved AS (
    UPDATE billing_meter SET since = %(until)s WHERE subject_id = ANY(ARRAY(SELECT subject_id FROM due)))
SELECT centre_id, subject_id FROM due ORDER BY centre_id, subject_id
"""  # noqa: S608  # our own words only
THESE = CUT.format(
    due="SELECT * FROM billing_meter WHERE subject_id = ANY(%(subjects)s) AND since < %(until)s"
)
NEXT = CUT.format(
    due="""
    SELECT * FROM billing_meter WHERE (centre_id, subject_id) > (%(centre)s, %(subject)s) AND since < %(until)s
     ORDER BY centre_id, subject_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""
)
