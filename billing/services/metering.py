"""A machine's meter: begun, changed, ended. Whatever an interval cost is written when it is cut, with its charge and its day's sum.

Callers say what is so (`follow`), as often as they like: nothing happens when it was so already. Call inside the transaction
of the fact: they join it. Locks are taken in one order by everybody: subject, VM, meter, day, account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from billing import ledger
from billing.models import CostCentre, Meter, Subject
from billing.models.usage import UsageKind
from billing.services import days, lives
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
        if subject.ended_at is None:
            ended_at = max(now, subject.started_at, meter.since if meter is not None else now)
            Subject.objects.filter(pk=subject.pk).update(ended_at=ended_at)
            lives.ends(subject, ended_at)
        if meter is not None:
            _cut([subject.pk], now)
            meter.delete()
        return
    if meter is None:
        # What it was before we heard of it is the provider's to bill, and nobody's to pay.
        since = subject.ended_at or subject.started_at
        if subject.ended_at is not None:
            Subject.objects.filter(pk=subject.pk).update(ended_at=None)
            lives.goes_on(subject, subject.ended_at)
        before = _wanted(subject, State(UsageKind.RUNNING))
        meter = Meter(subject=subject, centre_id=subject.centre_id, origin=since, since=since, **before)
        meter.save(force_insert=True)
    wanted = _wanted(subject, state, meter.kind)
    if state.stopped_usd_per_hour not in (None, subject.stopped_usd_per_hour):
        Subject.objects.filter(pk=subject.pk).update(stopped_usd_per_hour=state.stopped_usd_per_hour)
    if wanted != {name: getattr(meter, name) for name in wanted}:
        _cut([subject.pk], now)
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
        lives.moves(subject, centre)
        if meter is not None:
            _cut([subject.pk], now)
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
    subject, is_new = Subject.objects.select_for_update(no_key=True).get_or_create(
        key=key,
        defaults={
            "vm": machine.vm,
            "centre": centre_of(machine.dimensions),
            "price_source": price.source,
            "rate_id": price.rate_id,
            "factors": list(price.factor_ids),
            "margin_id": price.margin_id,
            "cost_usd_per_hour": price.cost_usd_per_hour,
            "stopped_usd_per_hour": price.cost_usd_per_hour,
            "charge_usd_per_hour": price.charge_usd_per_hour,
            "started_at": machine.started_at,
        },
    )
    if is_new:
        lives.begins(subject)
    return subject


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


def close(subject_ids: Sequence[int], until: datetime) -> int:
    """Cuts the meters of these subjects, whose rows the caller has locked; returns how many charges were posted."""
    return _cut(subject_ids, until)


def _cut(subject_ids: Sequence[int], until: datetime) -> int:
    """Leaves records of what the meters ran until a moment, sums them up by day and posts their charges.

    A meter that is already there, or beyond because a clock went back, leaves nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            CUT, {"subjects": list(subject_ids), "until": until, "zone": settings.BILLING_TIME_ZONE}
        )
        charged = [row[0] for row in cursor.fetchall()]
    ledger.post_usage(charged, until, ACTOR)
    return len(charged)


# One statement for one meter or for thousands. Pieces end at full UTC hours and at the zone's midnights; the usual one is
# whole, and only those that are not are taken apart.
CUT = f"""
WITH due AS (
    SELECT *, since AT TIME ZONE %(zone)s AS local_since
      FROM billing_meter WHERE subject_id = ANY(%(subjects)s) AND since < %(until)s),
whole AS (
    SELECT *, %(until)s::timestamptz <= date_trunc('hour', since, 'UTC') + interval '1 hour'
              AND local_since::date = ((%(until)s::timestamptz - interval '1 microsecond') AT TIME ZONE %(zone)s)::date AS is_whole
      FROM due),
pieces AS (
    SELECT whole.*, since AS started_at, %(until)s::timestamptz AS ended_at FROM whole WHERE is_whole
    UNION ALL
    SELECT whole.*, edges.at, edges.next
      FROM whole, LATERAL (
        SELECT at, lead(at, 1, %(until)s::timestamptz) OVER (ORDER BY at) AS next
          FROM (SELECT whole.since AS at
                UNION SELECT generate_series(date_trunc('hour', whole.since, 'UTC') + interval '1 hour',
                                             %(until)s::timestamptz - interval '1 microsecond', interval '1 hour')
                UNION SELECT day AT TIME ZONE %(zone)s
                        FROM generate_series((whole.local_since::date + 1)::timestamp,
                                             (%(until)s::timestamptz AT TIME ZONE %(zone)s)::date::timestamp, interval '1 day') AS day
                       WHERE day AT TIME ZONE %(zone)s < %(until)s) AS ats) AS edges
     WHERE NOT is_whole),
closed AS (
    INSERT INTO billing_usagerecord (subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged,
                                     cost_usd_per_hour, charge_usd_per_hour, cost_usd, charge_usd)
    SELECT subject_id, centre_id, kind, (started_at AT TIME ZONE %(zone)s)::date, started_at, ended_at, origin, is_charged,
           cost_usd_per_hour, charge_usd_per_hour,
           billing_total(cost_usd_per_hour, origin, ended_at) - billing_total(cost_usd_per_hour, origin, started_at),
           billing_total(charge_usd_per_hour, origin, ended_at) - billing_total(charge_usd_per_hour, origin, started_at)
      FROM pieces ORDER BY subject_id, started_at
    RETURNING *),
added AS (
    SELECT day, centre_id,
           coalesce(sum(us) FILTER (WHERE kind = 'running'), 0) AS running_us,
           coalesce(sum(us) FILTER (WHERE is_charged), 0) AS charged_us,
           coalesce(sum(us) FILTER (WHERE kind = 'stopped'), 0) AS stopped_us,
           coalesce(sum(us) FILTER (WHERE kind = 'storage'), 0) AS storage_us,
           sum(cost_usd) AS cost_usd, sum(charge_usd) AS charge_usd, sum({days.SAVED}) AS saved_usd
      FROM (SELECT *, (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us FROM closed) AS timed
     GROUP BY day, centre_id),
days AS ({days.ADD_DAYS}),
sums AS ({days.ADD_SUMS.format(is_whole="false")}),
moved AS (
    UPDATE billing_meter meter SET since = %(until)s FROM due WHERE meter.subject_id = due.subject_id)
SELECT id FROM closed WHERE charge_usd > 0 ORDER BY id
"""  # noqa: S608  # our own words only
