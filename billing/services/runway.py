"""Who runs out of credit: looked at for all prepaid accounts at once, from what is posted and what the open meters add."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from billing import rating
from billing.models import CreditAccount
from billing.services.grants import ACTOR, about
from events.services import record

WARN_AHEAD = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: accounts with nothing left, those warned now, and how many were looked at."""

    empty: list[int] = field(default_factory=list)
    warned: list[int] = field(default_factory=list)
    looked_at: int = 0


# Accounts whose meters charge: balance minus accrual is what is left; at the present pace it lasts so many hours.
LEFT = """
SELECT account.id, account.warned_at IS NOT NULL,
       account.balance_usd - spent.usd AS left_usd, spent.usd_per_hour
  FROM billing_creditaccount account
  JOIN (SELECT centre.payer_id, sum(meter.charge_usd_per_hour) AS usd_per_hour,
               sum(billing_total(meter.charge_usd_per_hour, meter.origin, greatest(%(now)s, meter.since))
                   - billing_total(meter.charge_usd_per_hour, meter.origin, meter.since)) AS usd
          FROM billing_meter meter JOIN billing_costcentre centre ON centre.id = meter.centre_id
         WHERE meter.charge_usd_per_hour > 0 GROUP BY centre.payer_id) AS spent ON spent.payer_id = account.id
 WHERE NOT account.is_postpaid
"""


def look(now: datetime) -> Look:
    """Decides for every running VM at once. Whose credit ends within a quarter of an hour is told, once until it is well again."""
    with connection.cursor() as cursor:
        cursor.execute(LEFT, {"now": now})
        rows = cursor.fetchall()
    hours = WARN_AHEAD / timedelta(hours=1)
    found = Look(looked_at=len(rows))
    low: list[int] = []
    for account_id, is_warned, left, per_hour in rows:
        if left <= 0:
            found.empty.append(account_id)
        if float(left) < float(per_hour) * hours:
            low.append(account_id)
            if not is_warned:
                found.warned.append(account_id)
    # Also where nothing charges any more, or somebody plays on account by now: nobody looks at those again.
    CreditAccount.objects.filter(warned_at__isnull=False).exclude(pk__in=low).update(warned_at=None)
    figures = {row[0]: (row[2], row[3]) for row in rows}
    for account_id in found.warned:
        _warn(account_id, *figures[account_id], now)
    return found


@transaction.atomic
def _warn(account_id: int, left: Decimal, per_hour: Decimal, now: datetime) -> None:
    if CreditAccount.objects.filter(pk=account_id, warned_at=None).update(warned_at=now):
        account = CreditAccount.objects.select_related("project").get(pk=account_id)
        figures = {"left_usd": rating.told(left), "usd_per_hour": rating.told(per_hour)}
        record(about(account, "credit_low", figures, now, ACTOR))
