"""The only writer of entries and legs. Everything is posted once, by key; one INSERT per table, however many postings.

The database holds the laws (migration 0002): a statement whose legs do not sum to zero is refused, balances move with the
legs, nothing is changed afterwards. Call inside the transaction of what is being paid for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from billing.models import CreditAccount, Entry
from billing.models.ledger import AccountKind
from gamer.errors import Conflict

# Our own accounts, the other side of every entry.
REVENUE, GIVEN, UNOWNED = "revenue", "given", "unowned"


class KeyReused(Conflict):
    """The same key came with other inputs: a bug or a forgery, never a replay."""


@dataclass(frozen=True, slots=True)
class Side:
    """A leg to be: positive is credit for the account, negative is taken from it."""

    account_id: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Posting:
    """An entry to be. The same key with the same kind, sides and reason is a replay and changes nothing."""

    key: str
    kind: Entry.Kind
    sides: Sequence[Side]
    actor: str
    reason: str = ""

    @property
    def digest(self) -> str:
        sides = sorted((side.account_id, f"{side.usd:.6f}") for side in self.sides)
        return _hash(self.kind, self.reason, sides)


@dataclass(frozen=True, slots=True)
class Posted:
    entry_id: int
    is_new: bool


def post_many(postings: Sequence[Posting], at: datetime) -> list[Posted]:
    """Books the postings, in order. Raises KeyReused; IntegrityError where sides do not sum to zero."""
    entries = [(one.key, one.digest, one.kind, one.actor, one.reason, len(one.sides)) for one in postings]
    ids, fresh = _enter(entries, at)
    new = [one for one in postings if one.key in fresh]
    if new:
        legs = [(ids[one.key], side.account_id, side.usd) for one in new for side in one.sides]
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO billing_leg (entry_id, account_id, amount_usd)"
                " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::numeric[])",
                [list(column) for column in zip(*legs, strict=True)],
            )
    return [Posted(ids[one.key], one.key in fresh) for one in postings]


def post_usage(record_ids: Sequence[int], at: datetime, actor: str) -> None:
    """Charges closed intervals to their payers: one entry with a leg for each, and one for us. The amounts are the records' own."""
    if not record_ids:
        return
    ours = house(REVENUE).pk
    key = f"usage:{record_ids[0]}"
    ids, fresh = _enter(
        [(key, _hash("usage", list(record_ids)), Entry.Kind.USAGE, actor, "", len(record_ids) + 1)], at
    )
    if key not in fresh:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH used AS (
                SELECT record.id, centre.payer_id, record.charge_usd
                  FROM billing_usagerecord record JOIN billing_costcentre centre ON centre.id = record.centre_id
                 WHERE record.id = ANY(%(records)s))
            INSERT INTO billing_leg (entry_id, account_id, amount_usd, record_id)
            SELECT %(entry)s, payer_id, -charge_usd, id FROM used
            UNION ALL
            SELECT %(entry)s, %(ours)s, sum(charge_usd), NULL FROM used
            """,
            {"records": list(record_ids), "entry": ids[key], "ours": ours},
        )


def house(code: str) -> CreditAccount:
    """One of our own accounts, opened on first use."""
    found = CreditAccount.objects.filter(code=code).first()
    if found is None:
        CreditAccount.objects.bulk_create(
            [CreditAccount(kind=AccountKind.HOUSE, code=code, is_postpaid=True)], ignore_conflicts=True
        )
        found = CreditAccount.objects.get(code=code)
    return found


def _enter(
    entries: Sequence[tuple[str, str, str, str, str, int]], at: datetime
) -> tuple[dict[str, int], set[str]]:
    """The entries' ids by key, and the keys that are new. Sorted, so that two callers never wait for each other in a circle."""
    rows = sorted(entries)
    keys, digests, kinds, actors, reasons, legs = (list(column) for column in zip(*rows, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_entry (key, digest, kind, actor, reason, legs_count, at)
            SELECT *, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[])
            ON CONFLICT (key) DO NOTHING RETURNING key, id
            """,
            [at, keys, digests, kinds, actors, reasons, legs],
        )
        fresh: dict[str, int] = dict(cursor.fetchall())
    known = {row[0]: row for row in rows if row[0] not in fresh}
    ids = dict(fresh)
    for entry in Entry.objects.filter(key__in=known) if known else ():
        if entry.digest != known[entry.key][1]:
            raise KeyReused(f"{entry.key} was booked before, with something else.")
        ids[entry.key] = entry.pk
    return ids, set(fresh)


def _hash(*inputs: object) -> str:
    return hashlib.sha256(repr(inputs).encode()).hexdigest()
