"""What a launch puts aside: an hour's price, so that what is promised can be paid. One hold for each VM.

These join the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from billing import rating
from billing.models import CreditAccount, Hold
from billing.models.ledger import AccountKind
from gamer.errors import InsufficientCredits


def lock(vm: UUID, accounts: Iterable[int]) -> None:
    """Locks accounts, and the one that a VM's hold stands on, in the order of their ids, as postings do: for what changes several."""
    standing = Hold.objects.filter(vm=vm).values_list("account_id", flat=True)
    rows = CreditAccount.objects.filter(pk__in=[*accounts, *standing]).exclude(kind=AccountKind.HOUSE)
    list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk"))


def put(*, vm: UUID, account: CreditAccount, usd_per_hour: Decimal, now: datetime) -> None:
    """Puts an hour's price aside for a VM, once; the hold it has is changed to that amount, and stands on this account from now on.

    Raises InsufficientCredits, saying how much is missing on whose account. Call inside the launch's transaction, late: the
    account's row is locked until it ends.
    """
    _set(vm, account, rating.amount(usd_per_hour), now, is_partial=False)


@transaction.atomic(savepoint=False)
def adjust(*, vm: UUID, usd_per_hour: Decimal, now: datetime) -> None:
    """Changes a VM's hold to what its machine really costs, as far as the credit goes. Without a hold nothing happens."""
    hold = Hold.objects.select_related("account").filter(vm=vm).first()
    if hold is not None and hold.amount_usd != rating.amount(usd_per_hour):
        _set(vm, hold.account, rating.amount(usd_per_hour), now, is_partial=True)


@transaction.atomic(savepoint=False)
def release(vm: UUID) -> bool:
    """Gives back what a VM's hold put aside; safe to repeat."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE, {"vm": vm})
        return bool(cursor.rowcount)


# The account first: so does everybody who holds. A hold that went to another account meanwhile is that account's now.
RELEASE = """
WITH locked AS (
    SELECT id FROM billing_creditaccount WHERE id IN (SELECT account_id FROM billing_hold WHERE vm = %(vm)s) FOR NO KEY UPDATE),
gone AS (
    DELETE FROM billing_hold WHERE vm = %(vm)s AND account_id IN (SELECT id FROM locked) RETURNING account_id, amount_usd)
UPDATE billing_creditaccount SET held_usd = held_usd - amount_usd FROM gone WHERE id = account_id
"""


@transaction.atomic(savepoint=False)
def move(*, vm: UUID, account: CreditAccount, now: datetime) -> None:
    """Has a VM's hold stand on another account, as far as credit goes there. Without a hold nothing happens."""
    hold = Hold.objects.filter(vm=vm).first()
    if hold is None or hold.account_id == account.pk:
        return
    lock(vm, [account.pk])
    if release(vm):
        _set(vm, account, hold.amount_usd, now, is_partial=True)


def renew(subject_ids: Sequence[int], now: datetime) -> None:
    """The hour a hold covered is posted: it stands for the next one, where the account can still cover all its holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE billing_hold hold SET renewed_at = %s
              FROM billing_creditaccount account
             WHERE account.id = hold.account_id AND (account.is_postpaid OR account.balance_usd >= account.held_usd)
               AND hold.vm = ANY(ARRAY(SELECT vm FROM billing_subject WHERE id = ANY(%s)))
            """,
            [now, list(subject_ids)],
        )


def _set(vm: UUID, account: CreditAccount, usd: Decimal, now: datetime, *, is_partial: bool) -> None:
    if account.kind == AccountKind.HOUSE:
        return
    row = CreditAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    old = Hold.objects.filter(vm=vm).first()
    if old is not None and old.account_id != row.pk:
        if is_partial:
            return  # it went to another payer's while we waited, who has followed the price
        # Whoever pays now has got their account since the launch.
        release(vm)
        old = None
    more = usd - (old.amount_usd if old is not None else rating.ZERO)
    if not row.is_postpaid and more > row.available_usd:
        if not is_partial:
            raise _short(row, usd, row.available_usd + usd - more)
        more = max(row.available_usd, rating.ZERO)
        usd = more + (old.amount_usd if old is not None else rating.ZERO)
    if old is None:
        Hold.objects.create(vm=vm, account=row, amount_usd=usd, held_at=now, renewed_at=now)
    else:
        Hold.objects.filter(vm=vm).update(amount_usd=usd, renewed_at=now)
    CreditAccount.objects.filter(pk=row.pk).update(held_usd=F("held_usd") + more)


def _short(account: CreditAccount, usd: Decimal, available: Decimal) -> InsufficientCredits:
    whose = "your" if account.kind == AccountKind.USER else f"the {account.kind}'s"
    missing = usd - available
    return InsufficientCredits(
        f"An hour costs {plain(usd)} USD and {plain(max(available, rating.ZERO))} USD of {whose} credit are free: "
        f"{plain(missing)} USD are missing.",
        details={
            "needed_usd": [plain(usd)],
            "available_usd": [plain(available)],
            "missing_usd": [plain(missing)],
            "account": [str(account)],
        },
    )


def plain(usd: Decimal) -> str:
    """An amount for people: at least cents, no more digits than it has."""
    text = f"{usd:f}"
    whole, _, places = text.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"
