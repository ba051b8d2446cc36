"""Ten million usage intervals: each report from the daily sums beside the same sum over the intervals, and budgets over 100,000
running VMs.

A year of 2,000 players in 40 departments: each plays on two consoles and, now and then, at another provider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils import timezone

from accounts.models import Department
from accounts.principal import policy
from bench import costs
from bench.harness import Timing, backend_cpu, claim, timed
from billing import ledger
from billing.budgets import rows, watch
from billing.budgets.rows import Target
from billing.models import Budget, CostCentre, UsageDay, UsageRecord, UsageSum
from billing.periods import Period, last_days, month_so_far
from billing.reports import Filters, forecast, front_page_figures, report, series
from billing.reports.spending import STAFF
from billing.services import days
from billing.sight import Sight

RECORDS, DAYS = 10_000_000, 365
PLAYERS, DEPARTMENTS, CENTRES = 2_000, 40, 4_000
RUNNING, BUDGETS = 100_000, 1_000
UTC = ZoneInfo("UTC")

PEOPLE = """
    INSERT INTO accounts_user (handle, first_name, last_name, password, is_superuser, is_staff, is_active, is_postpaid, token_epoch,
                               created_at, department_id, department_role)
    SELECT 'player' || n, '', '', '!', false, false, true, true, 0, now(), d.id, 'member'
    FROM generate_series(1, %(players)s) n
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS at FROM accounts_department) d ON d.at = n %% %(departments)s
"""
MADE_CENTRES = """
    INSERT INTO billing_costcentre (payer_id, provider, provider_account, region, console, preset, user_id, department_id)
    SELECT %(payer)s, (ARRAY['tensordock', 'cloudypad_gcp', 'libvirt'])[1 + n %% 3], 1, 'region' || n %% 12,
           (ARRAY['switch', '3ds', 'snes', 'wii', 'nds'])[1 + n / 7 %% 5], (ARRAY['premium', 'advanced', 'retro'])[1 + n / 7 %% 3],
           u.id, u.department_id
    FROM generate_series(0, %(centres)s - 1) n
    JOIN (SELECT id, department_id, row_number() OVER (ORDER BY id) - 1 AS at FROM accounts_user) u ON u.at = n %% %(players)s
"""
# One machine per centre and session, and every fiftieth takes over from another; a session is ten intervals of an hour, cut at full hours.
MADE_SUBJECTS = """
    INSERT INTO billing_subject (key, vm, centre_id, price_source, factors, cost_usd_per_hour, stopped_usd_per_hour,
                                 charge_usd_per_hour, started_at, ended_at, is_counted)
    SELECT 'bench:' || n, md5((CASE WHEN n %% 50 = 49 THEN n - 1 ELSE n END)::text)::uuid, first.id + n %% %(centres)s, 'rate',
           '[]', price, price, price * 1.15, began, began + interval '10 hours', n %% 50 < 49
    FROM (SELECT min(id) AS id FROM billing_costcentre) first, generate_series(0, %(subjects)s - 1) n,
    LATERAL (SELECT (0.1 + (n %% 97) * 0.0123457)::numeric(14, 9) AS price,
                    %(start)s::timestamptz + (n %% %(days)s) * interval '1 day' + (n %% 24) * interval '1 hour' AS began) told
"""
MADE_RECORDS = """
    INSERT INTO billing_usagerecord (subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged, cost_usd_per_hour,
                                     charge_usd_per_hour, cost_usd, charge_usd)
    SELECT s.id, s.centre_id, 'running', ((s.started_at + h * interval '1 hour') AT TIME ZONE 'UTC')::date,
           s.started_at + h * interval '1 hour', s.started_at + (h + 1) * interval '1 hour', s.started_at, h > 0,
           s.cost_usd_per_hour, CASE WHEN h > 0 THEN s.charge_usd_per_hour ELSE 0 END,
           billing_total(s.cost_usd_per_hour, s.started_at, s.started_at + (h + 1) * interval '1 hour')
             - billing_total(s.cost_usd_per_hour, s.started_at, s.started_at + h * interval '1 hour'),
           CASE WHEN h > 0 THEN round(s.charge_usd_per_hour, 6) ELSE 0 END
    FROM billing_subject s, generate_series(0, 9) h
"""
MADE_METERS = """
    WITH machines AS (
        INSERT INTO billing_subject (key, vm, centre_id, price_source, factors, cost_usd_per_hour, stopped_usd_per_hour,
                                     charge_usd_per_hour, started_at, is_counted)
        SELECT 'now:' || n, md5('now' || n)::uuid, first.id + n %% %(centres)s, 'rate', '[]', 0.5, 0.5, 0.6,
               %(now)s::timestamptz - (n %% 3600) * interval '1 second', true
        FROM (SELECT min(id) AS id FROM billing_costcentre) first, generate_series(0, %(running)s - 1) n
        RETURNING *)
    INSERT INTO billing_meter (subject_id, centre_id, kind, origin, since, cost_usd_per_hour, charge_usd_per_hour, is_charged)
    SELECT id, centre_id, 'running', started_at, started_at, cost_usd_per_hour, charge_usd_per_hour, true FROM machines
"""


def fill(now: datetime) -> None:
    """The rows, written by Postgres itself; indexes of the big table are built afterwards."""
    Department.objects.bulk_create(Department(name=f"Department {number}") for number in range(DEPARTMENTS))
    told = {
        "players": PLAYERS, "departments": DEPARTMENTS, "centres": CENTRES, "subjects": RECORDS // 10, "days": DAYS - 2,
        "start": now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1),
        "payer": ledger.house(ledger.UNOWNED).pk,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no look-ups of foreign keys, row by row
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = 'billing_usagerecord' AND indexname IN ('usage_of_subject', 'usage_of_day')"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute("ALTER TABLE billing_usagerecord DROP CONSTRAINT usage_never_overlaps")
        for statement in (PEOPLE, MADE_CENTRES, MADE_SUBJECTS, MADE_RECORDS):
            cursor.execute(statement, told)
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = origin")
        days.rebuild()
        cursor.execute("VACUUM ANALYZE")


def raw(period: Period, column: str) -> list[tuple[object, Decimal, Decimal]]:
    """The same sums over the intervals themselves."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {column}, sum(record.cost_usd), sum(record.charge_usd) FROM billing_usagerecord record
                JOIN billing_costcentre centre ON centre.id = record.centre_id
                WHERE record.day BETWEEN %s AND %s GROUP BY 1""",
            [period.start, period.end],
        )
        return cursor.fetchall()


def compare(title: str, period: Period, group: str, column: str, now: datetime) -> None:
    """A report's sums beside those of the raw scan; then the same report with its VMs counted, which the scan doesn't do."""

    def asked(counts_vms: bool = False) -> Sequence[tuple[object, Decimal, Decimal]]:
        found = report(period=period, sight=STAFF, now=now, group_by=(group,), counts_vms=counts_vms)
        return [(row.keys[0], row.cost_usd, row.charge_usd) for row in found.rows]

    ours, cpu = costed(asked)
    theirs = timed(lambda: raw(period, column), repeats=2, warm=0)
    is_equal = sorted(asked(), key=str) == sorted(raw(period, column), key=str)
    ratio = theirs.median / ours.median
    claim(
        title, f"p95 {ours.p95 * 1000:.0f} ms, {cpu:.0f} of CPU{'' if is_equal else ', WRONG'}",
        against=f"raw {theirs.median * 1000:.0f} ms = {ratio:.0f} x; at most 50 ms, at least 50 x, equal",
        holds=is_equal and ours.p95 <= 0.05 and ratio >= 50,
    )  # fmt: skip
    quick("  … and its VMs", lambda: asked(counts_vms=True))


def costed(work: Callable[[], object], repeats: int = 20) -> tuple[Timing, float]:
    """How long it takes, and the milliseconds of Postgres's CPU in it: what is left of the first on a busy machine."""
    work()
    before = backend_cpu()
    found = timed(work, repeats=repeats, warm=0)
    return found, (backend_cpu() - before) / repeats * 1000


def quick(title: str, work: Callable[[], object]) -> None:
    found, cpu = costed(work)
    claim(
        title, f"p95 {found.p95 * 1000:.0f} ms, {cpu:.0f} of CPU", against="at most 50 ms", holds=found.p95 <= 0.05
    )  # fmt: skip


def main() -> None:
    now = timezone.now()
    fill(now)
    yesterday = now.date() - timedelta(days=1)
    year = Period(yesterday - timedelta(days=DAYS - 2), yesterday, UTC)
    month = Period(yesterday - timedelta(days=29), yesterday, UTC)
    claim(
        "usage intervals, daily sums of them, coarse ones",
        f"{UsageRecord.objects.count():,} / {UsageDay.objects.count():,} / {UsageSum.objects.count():,}",
        against=f"{CostCentre.objects.count():,} cost centres",
    )  # fmt: skip
    for group, column in (
        ("provider", "centre.provider"), ("region", "centre.region"), ("console", "centre.console"),
        ("department", "centre.department_id"), ("user", "centre.user_id"), ("day", "record.day"),
    ):  # fmt: skip
        compare(f"30 days by {group}", month, group, column, now)
        compare(f"a year by {group}", year, group, column, now)
    whose = Sight(department_id=Department.objects.values_list("pk", flat=True)[0])
    quick(
        "a department's month by user", lambda: report(period=month, sight=whose, now=now, group_by=("user",))
    )
    quick(
        "a player's year",
        lambda: report(period=year, sight=STAFF, now=now, filters=Filters(user__handle="player7")),
    )
    quick("30 days, day by day", lambda: series(period=last_days(30, now, UTC), sight=STAFF, now=now))
    quick("this month", lambda: report(period=month_so_far(now, UTC), sight=STAFF, now=now))
    quick("the month's forecast", lambda: forecast(sight=STAFF, now=now, zone=UTC))
    quick("the front page's figures", lambda: front_page_figures(now=now, zone=UTC))
    costs.pages()
    budgets(now, month.end)


def budgets(now: datetime, day: date) -> None:
    """A thousand budgets of all kinds over 100,000 running VMs and the month's daily sums."""
    with connection.cursor() as cursor:
        cursor.execute(MADE_METERS, {"centres": CENTRES, "running": RUNNING, "now": now})
        cursor.execute("VACUUM ANALYZE")
    by, limit = policy("bench"), Decimal(10**9)
    rows.create(by=by, now=now, name="all", limit_usd=limit)
    rows.create(by=by, now=now, name="vendor", limit_usd=limit, target=Target(provider="libvirt"))
    for department in Department.objects.all():
        rows.create(by=by, now=now, name="department", limit_usd=limit, target=Target(department=department))
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO billing_budget (name, covers, provider, user_id, period, limit_usd, emails, is_active, created_at)
               SELECT 'player', 'user', '', id, 'monthly', 1000000000, '{}', true, now() FROM accounts_user ORDER BY id LIMIT %s""",
            [BUDGETS],
        )
        cursor.execute(
            "INSERT INTO billing_threshold (budget_id, percent, notifies, blocks_launches, stops_vms)"
            " SELECT id, 80, true, false, false FROM billing_budget WHERE covers = 'user'"
        )
        cursor.execute("ANALYZE")
    found = timed(lambda: watch.evaluate(now), repeats=5)
    claim(
        f"{Budget.objects.count():,} budgets over {RUNNING:,} running VMs", f"{found.median * 1000:.0f} ms",
        against="at most 1 s", holds=found.median <= 1,
    )  # fmt: skip
