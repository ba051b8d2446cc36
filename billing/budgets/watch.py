"""Looking at all budgets at once.

`look` is called by the reconciler's turn and by a schedule; whoever comes first in a quarter of a minute looks. One
statement sums every budget and writes what it crosses; the unique constraint lets each threshold be told once a period.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from billing.budgets.notices import happening_of, posts_of
from billing.models import Budget, BudgetCrossing, Threshold
from billing.rating import day_of
from events import deliveries
from events.services import record_many
from gamer import prepared

LOOK_EVERY = timedelta(seconds=15)


# `periods`: what each budget sums now. `spent`: what it comes to, from the daily sums and the open meters. Global budgets and
# those of providers share one pass over the coarse sums, which are few rows a day; the others find their few centres by index.
SPENT = """
    periods AS MATERIALIZED (
        SELECT id, covers, provider, project_id, department_id, user_id, within_id, limit_usd,
               CASE period WHEN 'daily' THEN %(today)s WHEN 'monthly' THEN %(month_start)s ELSE starts_on END AS start_day,
               CASE period WHEN 'daily' THEN %(today)s WHEN 'monthly' THEN %(month_end)s ELSE ends_on END AS end_day
        FROM billing_budget
        WHERE is_active AND (period <> 'custom' OR %(today)s BETWEEN starts_on AND ends_on)
          AND (%(only)s::bigint[] IS NULL OR id = ANY(%(only)s))),
    accrued AS MATERIALIZED (
        SELECT centre_id, day, sum(cost_usd) AS cost_usd, sum(charge_usd) AS charge_usd
        FROM billing_accrued(%(now)s, %(zone)s) GROUP BY centre_id, day),
    house AS MATERIALIZED (
        SELECT facts.day, facts.provider, sum(facts.cost_usd) AS usd
        FROM (SELECT day, provider, cost_usd FROM billing_usagesum
              WHERE face = 'place'
                AND day BETWEEN (SELECT min(start_day) FROM periods WHERE covers IN ('global', 'provider')) AND %(today)s
              UNION ALL SELECT accrued.day, centre.provider, accrued.cost_usd FROM accrued
              JOIN billing_costcentre centre ON centre.id = accrued.centre_id) AS facts
        GROUP BY facts.day, facts.provider),
    theirs AS MATERIALIZED (
        SELECT periods.id, centre.id AS centre_id, start_day, end_day FROM periods
        JOIN billing_costcentre centre ON centre.project_id = periods.project_id WHERE covers = 'project'
        UNION ALL SELECT periods.id, centre.id, start_day, end_day FROM periods
        JOIN billing_costcentre centre ON centre.department_id = periods.department_id WHERE covers = 'department'
        UNION ALL SELECT periods.id, centre.id, start_day, end_day FROM periods
        JOIN billing_costcentre centre ON centre.user_id = periods.user_id
         AND (within_id IS NULL OR centre.department_id = within_id) WHERE covers = 'user'),
    spent AS MATERIALIZED (
        SELECT periods.id, periods.start_day, periods.end_day, periods.limit_usd, coalesce(sum(parts.usd), 0) AS usd
        FROM periods LEFT JOIN (
            SELECT periods.id, house.usd FROM periods
            JOIN house ON house.day BETWEEN start_day AND end_day
             AND (covers = 'global' OR house.provider = periods.provider)
            WHERE covers IN ('global', 'provider')
            UNION ALL SELECT theirs.id, days.charge_usd FROM theirs
            JOIN billing_usageday days ON days.centre_id = theirs.centre_id AND days.day BETWEEN start_day AND end_day
            UNION ALL SELECT theirs.id, accrued.charge_usd FROM theirs
            JOIN accrued ON accrued.centre_id = theirs.centre_id AND accrued.day BETWEEN start_day AND end_day
        ) AS parts ON parts.id = periods.id
        GROUP BY periods.id, periods.start_day, periods.end_day, periods.limit_usd)
"""
# `held`: the budgets whose crossings are no longer what they should be, but those that somebody changes or deletes now: they wait for
# us, and we never for them. `again`: what was lifted and is over once more, by figures of its own, and what holds longer or shorter
# because its budget's period was changed.
CROSS = f"""
    WITH {SPENT},
    over AS MATERIALIZED (
        SELECT spent.*, threshold.percent FROM spent
        JOIN billing_threshold threshold ON threshold.budget_id = spent.id
        WHERE spent.usd * 100 >= threshold.percent * spent.limit_usd),
    standing AS (
        SELECT budget_id, percent, period_start, period_end FROM billing_budgetcrossing
        WHERE lifted_at IS NULL AND period_end >= %(today)s AND (%(only)s::bigint[] IS NULL OR budget_id = ANY(%(only)s))),
    held AS MATERIALIZED (
        SELECT id FROM billing_budget WHERE id IN (
            SELECT coalesce(over.id, budget_id) FROM over FULL JOIN standing
            ON (over.id, over.percent, start_day, end_day) = (budget_id, standing.percent, period_start, period_end)
            WHERE over.id IS NULL OR budget_id IS NULL)
        FOR SHARE SKIP LOCKED),
    fresh AS (
        INSERT INTO billing_budgetcrossing (budget_id, percent, period_start, period_end, spent_usd, limit_usd, crossed_at)
        SELECT id, percent, start_day, end_day, usd, limit_usd, %(now)s FROM over JOIN held USING (id)
        ON CONFLICT (budget_id, period_start, percent) DO NOTHING RETURNING id),
    lifted AS (
        UPDATE billing_budgetcrossing crossing SET lifted_at = %(now)s
        WHERE lifted_at IS NULL AND period_end >= %(today)s AND budget_id IN (SELECT id FROM held)
          AND NOT EXISTS (SELECT FROM over WHERE over.id = crossing.budget_id AND over.start_day = crossing.period_start
                          AND over.percent = crossing.percent)),
    again AS (
        UPDATE billing_budgetcrossing crossing SET lifted_at = NULL, period_end = over.end_day,
            spent_usd = CASE WHEN lifted_at IS NULL THEN crossing.spent_usd ELSE over.usd END,
            limit_usd = CASE WHEN lifted_at IS NULL THEN crossing.limit_usd ELSE over.limit_usd END,
            crossed_at = CASE WHEN lifted_at IS NULL THEN crossed_at ELSE %(now)s END
        FROM over JOIN held USING (id)
        WHERE (crossing.lifted_at IS NOT NULL OR crossing.period_end <> over.end_day) AND over.id = crossing.budget_id
          AND over.start_day = crossing.period_start AND over.percent = crossing.percent)
    SELECT id FROM fresh
"""  # noqa: S608  # our own words only
CLAIM = """
    INSERT INTO billing_budgetwatch (id, next_look_at) VALUES (1, %s)
    ON CONFLICT (id) DO UPDATE SET next_look_at = excluded.next_look_at
    WHERE billing_budgetwatch.next_look_at <= %s OR billing_budgetwatch.next_look_at > %s
    RETURNING id
"""


def zone() -> ZoneInfo:
    """Whose midnights days of money end at."""
    return ZoneInfo(settings.BILLING_TIME_ZONE)


def look(now: datetime) -> bool:
    """Looks at all budgets if nobody did in the last quarter of a minute; whether this caller did.

    A clock that went back does not put it off.
    """
    with transaction.atomic():
        if not prepared.rows(CLAIM, [now + LOOK_EVERY, now, now + 2 * LOOK_EVERY]):
            return False
        evaluate(now)
    return True


@transaction.atomic
def evaluate(now: datetime, only: Collection[int] | None = None) -> Sequence[BudgetCrossing]:
    """Sums budgets (all, or those named), writes what they newly cross and tells whoever is to be told; returns the new ones."""
    if only is None and not Budget.objects.filter(is_active=True).exists():
        return []
    with connection.cursor() as cursor:
        cursor.execute(CROSS, _parameters(now, only))
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    fresh = list(
        BudgetCrossing.objects.filter(pk__in=ids)
        .select_related("budget__project", "budget__user", "budget__department", "budget__webhook")
        .order_by("budget_id", "percent")
    )
    told = Threshold.objects.filter(budget__in={one.budget_id for one in fresh}, notifies=True)
    notifying = set(told.values_list("budget_id", "percent"))
    record_many(happening_of(one, now) for one in fresh)
    posts = [post for one in fresh if (one.budget_id, one.percent) in notifying for post in posts_of(one)]
    deliveries.post(posts, now=now)
    return fresh


def spent(now: datetime, budgets: Iterable[Budget]) -> dict[int, tuple[date, date, Decimal]]:
    """The present period of each of these budgets, and what is spent in it; one statement. None for those whose days are over."""
    only = [budget.pk for budget in budgets]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {SPENT} SELECT id, start_day, end_day, usd FROM spent", _parameters(now, only))  # noqa: S608
        return {row[0]: (row[1], row[2], row[3]) for row in cursor.fetchall()}


def _parameters(now: datetime, only: Collection[int] | None) -> dict[str, Any]:
    today = day_of(now, zone())
    month_end = (today.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return {
        "now": now, "zone": settings.BILLING_TIME_ZONE, "today": today, "month_start": today.replace(day=1),
        "month_end": month_end, "only": None if only is None else list(only),
    }  # fmt: skip
