"""The only writer of entries and legs. Everything is posted once, by key; one statement, however many postings.

The database holds the laws (`migrations/0003_laws.py`): a statement whose legs do not sum to zero is refused, balances move with the
legs, nothing is changed afterwards. Call inside the transaction of what is being paid for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.models import CreditAccount, Entry
from billing.models.ledger import AccountKind
from gamer import prepared
from gamer.errors import Conflict
from gamer.prepared import CompiledQuery

# Our own accounts, the other side of every entry.
REVENUE, GIVEN, UNOWNED = "revenue", "given", "unowned"
HOUSE = CompiledQuery(lambda code: CreditAccount.objects.filter(code=code).order_by())


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
    """Books the postings, in order, by one statement. Raises KeyReused; IntegrityError where sides do not sum to zero."""
    # Sorted, so that two callers never wait for each other in a circle.
    entries = sorted(
        (one.key, one.digest, one.kind, one.actor, one.reason, len(one.sides)) for one in postings
    )
    legs = [(one.key, side.account_id, side.usd) for one in postings for side in one.sides]
    columns = [list(column) for rows in (entries, legs) for column in zip(*rows, strict=True)]
    told = dict(zip(COLUMNS, columns, strict=True))
    fresh: dict[str, int] = dict(prepared.rows(POST, {**told, "at": at}))
    booked = _booked([one for one in postings if one.key not in fresh])
    return [Posted((fresh | booked)[one.key], one.key in fresh) for one in postings]


def _booked(postings: Sequence[Posting]) -> dict[str, int]:
    """The entries of postings that were booked before, by key."""
    digests = {one.key: one.digest for one in postings}
    found = list(Entry.objects.filter(key__in=digests)) if digests else []
    for entry in found:
        if entry.digest != digests[entry.key]:
            raise KeyReused(f"{entry.key} was booked before, with something else.")
    return {entry.key: entry.pk for entry in found}


COLUMNS = ("keys", "digests", "kinds", "actors", "reasons", "counts", "entries", "accounts", "amounts")
POST = """
WITH entered AS (
    INSERT INTO billing_entry (at, key, digest, kind, actor, reason, legs_count)
    SELECT %(at)s, * FROM unnest(%(keys)s::text[], %(digests)s::text[], %(kinds)s::text[], %(actors)s::text[], %(reasons)s::text[],
                                 %(counts)s::int[])
    ON CONFLICT (key) DO NOTHING RETURNING key, id),
legs AS (
    INSERT INTO billing_leg (entry_id, account_id, amount_usd)
    SELECT entered.id, account_id, usd
      FROM unnest(%(entries)s::text[], %(accounts)s::bigint[], %(amounts)s::numeric[]) WITH ORDINALITY AS side (key, account_id, usd, place)
      JOIN entered USING (key) ORDER BY place)
SELECT key, id FROM entered
"""

# What a statement goes on with that closes intervals, to charge them: an entry with a leg for each, and one for us. `charged` names
# them with their payers; the amounts are the intervals' own.
CHARGE = """
entered AS (
    INSERT INTO billing_entry (key, digest, kind, actor, reason, legs_count, at)
    SELECT 'usage:' || min(id), encode(sha256(string_agg(id::text, ',' ORDER BY id)::bytea), 'hex'), 'usage',
           %(actor)s, '', count(*) + 1, %(until)s
      FROM charged HAVING count(*) > 0
    RETURNING id),
legs AS (
    INSERT INTO billing_leg (entry_id, account_id, amount_usd, record_id)
    SELECT entered.id, payer_id, -charge_usd, charged.id FROM charged, entered
     UNION ALL
    SELECT entered.id, %(ours)s, sum(charge_usd), NULL FROM charged, entered GROUP BY entered.id)
"""


def house(code: str) -> CreditAccount:
    """One of our own accounts, opened on first use."""
    found = HOUSE.first(code=code)
    if found is None:
        CreditAccount.objects.bulk_create(
            [CreditAccount(kind=AccountKind.HOUSE, code=code, is_postpaid=True)], ignore_conflicts=True
        )
        found = CreditAccount.objects.get(code=code)
    return found


def _hash(*inputs: object) -> str:
    return hashlib.sha256(repr(inputs).encode()).hexdigest()
