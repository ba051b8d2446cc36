"""A machine's meter: begun, changed, ended. Whatever an interval cost is written when it is cut, with its charge and its day's sum.

Callers say what is so (`follow`), as often as they like: nothing happens when it was so already. Call inside the transaction
of the fact: they join it. Locks are taken in one order by everybody: subject, VM, meter, account; sums are only added to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from billing import ledger, rating
from billing.models import CostCentre, Meter, Subject
from billing.models.usage import UsageKind
from billing.services import days, holds, lives
from billing.services.prices import Price
from gamer import prepared
from gamer.prepared import CompiledQuery

ACTOR = "policy:metering"
LOCKED = CompiledQuery(lambda key: Subject.objects.select_for_update(no_key=True).filter(key=key).order_by())
METER = CompiledQuery(lambda subject: Meter.objects.select_for_update().filter(pk=subject).order_by())


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
    subject = _locked(key)
    if subject is None:
        if state is None:
            return
        is_begun = _begin(key, describe(), state)
        if is_begun and state.kind in (None, UsageKind.RUNNING) and not state.is_charged:
            return
        subject = _locked(key)
        assert subject is not None
    meter = METER.first(subject=subject.pk)
    if state is None:
        if subject.ended_at is None:
            ended_at = max(now, subject.started_at, meter.since if meter is not None else now)
            Subject.objects.filter(pk=subject.pk).update(ended_at=ended_at)
            lives.ends(subject, ended_at)
        if meter is not None:
            close(meter, now)
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
        close(meter, now)
        since = max(meter.since, now)
        Meter.objects.filter(pk=subject.pk).update(since=since, origin=since, **wanted)


@transaction.atomic(savepoint=False)
def move(*, vm: UUID, dimensions: Callable[[CostCentre], Dimensions], now: datetime) -> None:
    """Has a VM's machines count to another cost centre from now on, because its project or its payer changed."""
    subjects = Subject.objects.select_for_update(no_key=True).filter(vm=vm, ended_at=None).order_by("pk")
    moved: dict[int, CostCentre] = {}
    payers: set[int] = set()
    for subject in subjects.select_related("centre"):
        centre = centre_of(dimensions(subject.centre))
        if centre.pk == subject.centre_id:
            continue
        moved[subject.pk] = centre
        payers |= {subject.centre.payer_id, centre.payer_id}
        Subject.objects.filter(pk=subject.pk).update(centre=centre)
        lives.moves(subject, centre)
    # All meters before the first account, and the accounts at once: whoever closes hours holds meters, and waits for accounts.
    meters = list(Meter.objects.select_for_update().filter(pk__in=moved).order_by("pk"))
    holds.lock(vm, payers)
    for meter in meters:
        close(meter, now)
        since = max(meter.since, now)
        Meter.objects.filter(pk=meter.pk).update(since=since, origin=since, centre=moved[meter.pk])


def centre_of(dimensions: Dimensions) -> CostCentre:
    columns = {name: getattr(dimensions, name) for name in dimensions.__slots__}
    found = CostCentre.objects.filter(**columns).first()
    if found is None:
        CostCentre.objects.bulk_create([CostCentre(**columns)], ignore_conflicts=True)
        found = CostCentre.objects.get(**columns)
    return found


def _locked(key: str) -> Subject | None:
    return LOCKED.first(key=key)


def _begin(key: str, machine: Machine, state: State) -> bool:
    """Begins a machine and its meter, which runs and is not charged; False where somebody else began it at the same moment."""
    price = machine.price
    stopped = price.cost_usd_per_hour if state.stopped_usd_per_hour is None else state.stopped_usd_per_hour
    told = {
        "key": key,
        "vm": machine.vm,
        "centre": centre_of(machine.dimensions).pk,
        "source": price.source.value,
        "rate": price.rate_id,
        "factors": json.dumps(price.factor_ids),
        "margin": price.margin_id,
        "cost": price.cost_usd_per_hour,
        "stopped": stopped,
        "charge": price.charge_usd_per_hour,
        "started_at": machine.started_at,
    }
    begun = prepared.rows(BEGIN, told)
    if begun:
        machine_of = {"vm": machine.vm, "centre_id": told["centre"], "started_at": machine.started_at}
        lives.begins(Subject(pk=begun[0][0], **machine_of))
    return bool(begun)


# A machine and its meter. What it was before we heard of it is the provider's to bill, and nobody's to pay.
BEGIN = f"""
WITH begun AS (
    INSERT INTO billing_subject (key, vm, centre_id, price_source, rate_id, factors, margin_id, cost_usd_per_hour,
                                 stopped_usd_per_hour, charge_usd_per_hour, started_at)
    VALUES (%(key)s, %(vm)s::uuid, %(centre)s, %(source)s, %(rate)s, %(factors)s::jsonb, %(margin)s, %(cost)s, %(stopped)s, %(charge)s,
            %(started_at)s)
    ON CONFLICT (key) DO NOTHING
    RETURNING *),
meters AS (
    INSERT INTO billing_meter (subject_id, centre_id, kind, origin, since, cost_usd_per_hour, charge_usd_per_hour, is_charged)
    SELECT id, centre_id, '{UsageKind.RUNNING}', started_at, started_at, cost_usd_per_hour, 0, false FROM begun)
SELECT id FROM begun
"""  # noqa: S608  # our own words only


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


def close(meter: Meter, until: datetime) -> None:
    """Leaves records of what a meter ran until a moment, sums them up by day and posts the charge. The caller has locked it.

    One that is already there, or beyond because a clock went back, leaves nothing.
    """
    if meter.since < until:
        is_charged = meter.charge_usd_per_hour > 0
        _cut(THIS, meter.since, until, is_charged=is_charged, subject=meter.pk)


def close_next(
    since: datetime, until: datetime, *, after: tuple[int, int], limit: int
) -> list[tuple[int, int]]:
    """The same for the next meters that run since a moment or later, by cost centre, as (centre, subject) of each.

    Meters that somebody else is about to cut are passed over. A payer's machines come together, so that their balance is
    moved once, not in every batch.
    """
    return _cut(NEXT, since, until, is_charged=True, centre=after[0], subject=after[1], limit=limit)


def oldest(until: datetime) -> datetime | None:
    """Since when the oldest meter runs that runs since before a moment."""
    return Meter.objects.filter(since__lt=until).order_by("since").values_list("since", flat=True).first()


def _cut(
    which: str, since: datetime, until: datetime, *, is_charged: bool, **chosen: object
) -> list[tuple[int, int]]:
    zone = ZoneInfo(settings.BILLING_TIME_ZONE)
    pieces = list(rating.cuts(since, until, zone))
    told = {
        "since": since,
        "until": until,
        "starts": [start for start, _ in pieces],
        "stops": [stop for _, stop in pieces],
        "days": [rating.day_of(start, zone) for start, _ in pieces],
        "actor": ACTOR,
        "ours": ledger.house(ledger.REVENUE).pk if is_charged else None,
    }
    return prepared.rows(which, {**told, **chosen})


# One statement for one meter or for thousands: intervals, their sums, the entry that charges them, and the meters' new beginnings.
# Pieces of time end at full UTC hours and at the zone's midnights; they are the same for all meters.
CUT = f"""
WITH due AS ({{due}}),
closed AS (
    INSERT INTO billing_usagerecord (subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged,
                                     cost_usd_per_hour, charge_usd_per_hour, cost_usd, charge_usd)
    SELECT subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged, cost_usd_per_hour, charge_usd_per_hour,
           billing_total(cost_usd_per_hour, origin, ended_at) - billing_total(cost_usd_per_hour, origin, started_at),
           billing_total(charge_usd_per_hour, origin, ended_at) - billing_total(charge_usd_per_hour, origin, started_at)
      FROM (SELECT due.*, piece.day, greatest(since, piece.start) AS started_at, piece.stop AS ended_at
              FROM due JOIN unnest(%(starts)s::timestamptz[], %(stops)s::timestamptz[], %(days)s::date[])
                            AS piece (start, stop, day) ON piece.stop > due.since) AS pieces
     ORDER BY centre_id, subject_id, started_at
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
charged AS (
    SELECT closed.id, payer_id, charge_usd FROM closed JOIN billing_costcentre centre ON centre.id = centre_id
     WHERE charge_usd > 0),
{ledger.CHARGE},
moved AS (UPDATE billing_meter SET since = %(until)s WHERE subject_id = ANY(ARRAY(SELECT subject_id FROM due)))
SELECT centre_id, subject_id FROM due ORDER BY centre_id, subject_id
"""  # noqa: S608  # our own words only
# Nothing is joined with `due` or `closed` but by an index: all meters move at each full hour, and until their statistics are taken anew
# the planner believes that none is due, and would compare each of thousands with each.
DUE = "SELECT meter.* FROM billing_meter meter"
THIS = CUT.format(due=f"{DUE} WHERE meter.subject_id = %(subject)s AND since = %(since)s")
NEXT = CUT.format(
    due=f"""
    {DUE} WHERE (meter.centre_id, meter.subject_id) > (%(centre)s, %(subject)s) AND since >= %(since)s AND since < %(until)s
     ORDER BY meter.centre_id, meter.subject_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""
)
