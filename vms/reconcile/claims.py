"""Taking rows and giving them back: leases, plain waits, and the account's call tokens. One statement each.

Rows to take are chosen in an ARRAY, which is computed once. As the inner side of a join a plan may compute the choice again and again,
and each time it finds other rows: more than its LIMIT would be taken.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, Q, Value, When

from gamer import prepared
from vms.lifecycle import DEADLINES
from vms.models import TERMINAL_PHASES, VM, ProviderAccount

LEASE_S: float = settings.LEASE_S
RENEW_S = LEASE_S / 3
HINT_S = LEASE_S / 2

Id = uuid.UUID


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to apply outcomes to the rows of one claim, until it expires or is renewed."""

    token: uuid.UUID
    ids: Sequence[Id]


def claim(*, is_acting: bool, now: datetime, limit: int) -> Lease:
    """Leases due rows, the longest waiting first. Rows that others hold are passed over, never waited for.

    Of rows to which nobody came for longer than a lease, that time does not count: their deadlines move by it.
    """
    token = uuid.uuid4()
    told = {"token": token, "until": now + timedelta(seconds=LEASE_S), "now": now, "limit": limit}
    return Lease(token, [pk for (pk,) in prepared.rows(CLAIM, {**told, "is_acting": is_acting})])


# A condition in these very words is the index's own: whatever the values, it is one plan.
LIVE = "NOT (phase IN ('" + "', '".join(TERMINAL_PHASES) + "'))"
# For how long a row was due and nobody came; of one whose holder died, since the lease ended: who dies of it every time has come.
WAITED = "%(now)s - GREATEST(next_look_at, lease_until)"
IS_LATE = f"{WAITED} > make_interval(secs => {float(LEASE_S)})"
TIMED = "phase IN ('" + "', '".join(DEADLINES) + "')"
# Deadlines judge providers and machines, not us: while reconcilers, workers or the database are away, a phase gets no older, nor does
# the patience with a machine that is left. So each has its whole time of looks and orders, and runs out as long as somebody comes.
CLAIM = f"""
UPDATE vms_vm SET lease_token = %(token)s, lease_until = %(until)s,
    phase_since = CASE WHEN {IS_LATE} AND {TIMED} THEN phase_since + ({WAITED}) ELSE phase_since END,
    parting_since = CASE WHEN {IS_LATE} THEN parting_since + ({WAITED}) ELSE parting_since END,
    next_look_at = CASE WHEN {IS_LATE} THEN %(now)s ELSE next_look_at END
 WHERE id = ANY (ARRAY(
    SELECT id FROM vms_vm
     WHERE is_acting = %(is_acting)s AND next_look_at <= %(now)s AND {LIVE} AND (lease_until IS NULL OR lease_until < %(now)s)
     ORDER BY next_look_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""  # noqa: S608  # our own words only


def renew(tokens: Iterable[uuid.UUID], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE vms_vm SET lease_until = %s WHERE lease_token = ANY(%s)",
            [now + timedelta(seconds=LEASE_S), list(tokens)],
        )


@dataclass(frozen=True, slots=True)
class Rest:
    """A claimed row that only has to be looked at again."""

    vm_id: Id
    token: uuid.UUID
    at: datetime
    is_acting: bool


def rest(rows: Sequence[Rest]) -> int:
    """Gives rows back unchanged but for the next look; rows whose lease went to somebody else are left alone."""
    if not rows:
        return 0
    columns = [
        [row.vm_id for row in rows],
        [row.token for row in rows],
        [row.at for row in rows],
        [row.is_acting for row in rows],
    ]
    return len(prepared.rows(REST, columns))


REST = """
UPDATE vms_vm AS vm
   SET next_look_at = CASE WHEN vm.is_poked THEN LEAST(vm.next_look_at, row.at) ELSE row.at END,
       is_acting = row.is_acting AND NOT vm.is_poked, is_poked = FALSE, lease_token = NULL, lease_until = NULL, hinted_at = NULL
  FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::boolean[]) AS row(id, token, at, is_acting)
 WHERE vm.id = row.id AND vm.lease_token = row.token
RETURNING vm.id
"""


def due_for_a_hint(*, now: datetime, limit: int) -> int:
    """Counts acting rows that are due, free and not hinted lately, and marks them hinted."""
    told = {"now": now, "again": now - timedelta(seconds=HINT_S), "limit": limit}
    return len(prepared.rows(HINT, told))


HINT = f"""
UPDATE vms_vm SET hinted_at = %(now)s
 WHERE id = ANY (ARRAY(
    SELECT id FROM vms_vm
     WHERE is_acting AND next_look_at <= %(now)s AND {LIVE}
       AND (lease_until IS NULL OR lease_until < %(now)s) AND (hinted_at IS NULL OR hinted_at < %(again)s)
     LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""  # noqa: S608  # our own words only


def take_calls(account_id: int, wanted: int, now: datetime) -> int:
    """Takes up to `wanted` calls from the account's bucket: refilled by the minute, a sixth of a minute deep."""
    if wanted <= 0:
        return 0
    found = prepared.rows(TAKE_CALLS, {"now": now, "account": account_id, "wanted": wanted})
    return max(0, int(found[0][0])) if found else 0


TAKE_CALLS = """
WITH bucket AS (
    SELECT id, LEAST(
        GREATEST(calls_per_minute / 6.0, 5),
        call_tokens + GREATEST(EXTRACT(EPOCH FROM %(now)s - call_tokens_at), 0) * calls_per_minute / 60.0
    )::float8 AS level
      FROM vms_provideraccount WHERE id = %(account)s FOR UPDATE)
UPDATE vms_provideraccount AS account
   SET call_tokens = bucket.level - LEAST(floor(bucket.level), %(wanted)s::int), call_tokens_at = %(now)s
  FROM bucket WHERE account.id = bucket.id
RETURNING LEAST(floor(bucket.level), %(wanted)s::int)
"""

# Longer than any wait of a row, an offer or a sweep.
FAR = timedelta(minutes=10)
# What counts from a moment, or waits for one.
MOMENTS = (
    *("next_look_at", "hinted_at", "phase_since", "action_sent_at", "missing_since", "watched_at"),
    "parting_since",
)


@transaction.atomic
def set_back(now: datetime) -> int:
    """Puts right what was written by a clock that ran ahead, or nothing would be looked at until it is as late again; how many VMs.

    Leases begin anew, so that their holders may still write; what counts from a moment to come counts from now.
    """
    far, lease_until = now + FAR, now + timedelta(seconds=LEASE_S)
    ProviderAccount.objects.filter(Q(next_refresh_at__gt=far) | Q(next_sweep_at__gt=far)).update(
        **_no_later("next_refresh_at", "next_sweep_at", than=now)
    )
    ahead = Q(next_look_at__gt=far) | Q(lease_until__gt=lease_until) | Q(phase_since__gt=now)
    free = VM.objects.live().filter(ahead).select_for_update(no_key=True, skip_locked=True)
    changes = {**_no_later(*MOMENTS, than=now), **_no_later("lease_until", than=lease_until)}
    return VM.objects.filter(pk__anyof=list(free.values_list("pk", flat=True))).update(**changes)


def _no_later(*names: str, than: datetime) -> dict[str, Case]:
    return {name: Case(When(**{f"{name}__gt": than}, then=Value(than)), default=F(name)) for name in names}


def database_now() -> datetime:
    """The one clock all processes share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
