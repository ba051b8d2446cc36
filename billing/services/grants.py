"""Credit that was given, and what is left of it: what expires first is spent first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from billing import ledger, rating
from billing.models import CreditAccount, Entry, Grant, Leg, Meter
from events.services import Happening, record

ACTOR = "policy:credit"


def give(
    *,
    account: CreditAccount,
    usd: Decimal,
    key: str,
    kind: Entry.Kind,
    actor: str,
    reason: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> ledger.Posted:
    """Books credit for an account, once per key, with the moment from which what is left of it is taken back."""
    sides = [ledger.Side(account.pk, usd), ledger.Side(ledger.house(ledger.GIVEN).pk, -usd)]
    (posted,) = ledger.post_many([ledger.Posting(key, kind, sides, actor, reason)], now)
    if posted.is_new:
        leg = Leg.objects.get(entry=posted.entry_id, account=account)
        Grant.objects.create(leg=leg, account=account, amount_usd=usd, expires_at=expires_at)
    return posted


def lots_of(account: CreditAccount) -> dict[int, rating.Lot]:
    """What is left of each grant of an account, by its leg. Call under the account's lock for figures that stay.

    Legs are replayed in their order: a grant adds a lot, what is taken comes off the lots that expire first. What is taken
    between two grants is one sum, so the work grows with the grants alone. An expiry takes off its own grant.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH legs AS (
                SELECT leg.id, leg.amount_usd, given.leg_id IS NOT NULL AS is_grant, given.expires_at, ended.leg_id AS ended_id
                  FROM billing_leg leg
                  LEFT JOIN billing_grant given ON given.leg_id = leg.id
                  LEFT JOIN billing_grant ended ON ended.expiry_id = leg.entry_id
                 WHERE leg.account_id = %s),
            parts AS (
                SELECT *, sum((is_grant OR ended_id IS NOT NULL)::int) OVER (ORDER BY id) AS part FROM legs)
            SELECT part, min(id) FILTER (WHERE is_grant), min(expires_at) FILTER (WHERE is_grant),
                   coalesce(sum(amount_usd) FILTER (WHERE is_grant), 0),
                   min(ended_id), coalesce(-sum(amount_usd) FILTER (WHERE ended_id IS NOT NULL), 0),
                   coalesce(-sum(amount_usd) FILTER (WHERE NOT is_grant AND ended_id IS NULL), 0)
              FROM parts GROUP BY part ORDER BY part
            """,
            [account.pk],
        )
        rows = cursor.fetchall()
    lots: dict[int, rating.Lot] = {}
    debt = rating.ZERO
    for _, leg_id, expires_at, given, ended_id, ended, taken in rows:
        if ended_id is not None:
            lots[ended_id] = lots[ended_id].less(ended)
        if leg_id is not None:
            lots[leg_id] = rating.Lot(given, expires_at)
        debt = rating.spend(lots, debt + taken)
    return lots


def expire(now: datetime, *, limit: int = 500) -> int:
    """Takes back what is left of grants whose time is over; returns how many grants ended. Safe to repeat and to run twice."""
    due = Grant.objects.filter(expires_at__lte=now, expired_at=None).order_by("expires_at", "pk")
    ended = 0
    for grant_id in list(due.values_list("pk", flat=True)[:limit]):
        ended += _expire(grant_id, now)
    return ended


@transaction.atomic
def _expire(grant_id: int, now: datetime) -> bool:
    grant = Grant.objects.select_related("account").get(pk=grant_id)
    account = CreditAccount.objects.select_for_update(no_key=True).get(pk=grant.account_id)
    grant.refresh_from_db()
    if grant.expired_at is not None or grant.expires_at is None:
        return False
    # What was used before the end but is not posted yet, because its hour is still open, is spent as posting will spend it: each
    # cent of it keeps one grant from expiring, not all that end in this hour.
    lots = lots_of(account)
    rating.spend(lots, accrued_until(account, grant.expires_at))
    usd = min(lots[grant.pk].left, max(account.balance_usd, rating.ZERO))
    entry_id = None
    if usd > 0:
        sides = [ledger.Side(account.pk, -usd), ledger.Side(ledger.house(ledger.GIVEN).pk, usd)]
        posting = ledger.Posting(f"expiry:{grant.pk}", Entry.Kind.EXPIRY, sides, ACTOR, "Credit expired")
        entry_id = ledger.post_many([posting], now)[0].entry_id
    Grant.objects.filter(pk=grant.pk).update(expired_at=now, expiry_id=entry_id)
    if usd > 0:
        record(about(account, "credit_expired", {"usd": rating.told(usd)}, now, ACTOR))
    return True


def accrued_until(account: CreditAccount, at: datetime) -> Decimal:
    """What an account's open intervals have cost it until a moment, beyond what is posted."""
    meters = Meter.objects.filter(centre__payer=account, charge_usd_per_hour__gt=0)
    return sum(
        (rating.cost(one.charge_usd_per_hour, one.origin, one.since, at) for one in meters), rating.ZERO
    )


def about(
    account: CreditAccount, action: str, details: Mapping[str, Any], now: datetime, actor: str
) -> Happening:
    """An event about an account, addressed to those whose it is."""
    project = account.project
    return Happening(
        at=now,
        actor=actor,
        action=action,
        resource="billing",
        resource_id=str(account.pk),
        details=details,
        owner_id=account.user_id or (project.owner_id if project is not None else None),
        project_id=account.project_id,
        department_id=account.department_id or (project.department_id if project is not None else None),
    )
