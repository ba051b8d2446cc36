"""Ten million usage intervals: each report beside the same figures counted from the intervals and machines themselves, and budgets
over 100,000 running VMs. BENCH_ROWS=1000000 makes it a tenth.

A year of 2,000 players in 40 departments: each plays on two consoles and, now and then, at another provider. Machines run for eight
hours at any time of the day and are kept, stopped, for two more; every fiftieth takes over from another, a day later and elsewhere.
About a thousand run at any moment, also now.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from billing.models import Budget, CostCentre, Meter, Takeover, UsageDay, UsageRecord, UsageSpan, UsageSum
from billing.periods import Period, last_days, month_so_far
from billing.reports import Filters, compared, forecast, front_page_figures, report, series
from billing.reports.spending import STAFF
from billing.services import days
from billing.sight import Sight

RECORDS, DAYS = int(os.environ.get("BENCH_ROWS", "10000000")), 365
PLAYERS, DEPARTMENTS, CENTRES = 2_000, 40, 4_000
RUNNING, BUDGETS = 100_000, 1_000
MOST_S, LEAST_RATIO = 0.05, 50
SHOWN = 100  # rows, unless the API is asked for more
UTC = ZoneInfo("UTC")
missed: list[str] = []

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
# One machine per centre and session: the last of them have not ended yet, or not begun.
MADE_SUBJECTS = """
    INSERT INTO billing_subject (key, vm, centre_id, price_source, factors, cost_usd_per_hour, stopped_usd_per_hour,
                                 charge_usd_per_hour, started_at, ended_at)
    SELECT 'bench:' || n, md5((CASE WHEN n %% 50 = 49 THEN n - 1 ELSE n END)::text)::uuid, first.id + n %% %(centres)s, 'rate',
           '[]', price, price * 0.4, price * 1.15, began,
           CASE WHEN began + interval '10 hours' <= %(hour)s THEN began + interval '10 hours' END
    FROM (SELECT min(id) AS id FROM billing_costcentre) first, generate_series(0, %(subjects)s - 1) n,
    LATERAL (SELECT (0.1 + (n %% 97) * 0.0123457)::numeric(14, 9) AS price,
                    %(start)s::timestamptz + (n %% %(days)s) * interval '1 day' + (n %% 24) * interval '1 hour' AS began) told
    WHERE began < %(hour)s
"""
# Ten intervals of an hour each, as far as hours are over: the first for nothing, the last two stopped.
MADE_RECORDS = """
    INSERT INTO billing_usagerecord (subject_id, centre_id, kind, day, started_at, ended_at, origin, is_charged, cost_usd_per_hour,
                                     charge_usd_per_hour, cost_usd, charge_usd)
    SELECT s.id, s.centre_id, CASE WHEN h < 8 THEN 'running' ELSE 'stopped' END, (began AT TIME ZONE 'UTC')::date,
           began, began + interval '1 hour', origin, h BETWEEN 1 AND 7, cost,
           CASE WHEN h BETWEEN 1 AND 7 THEN s.charge_usd_per_hour ELSE 0 END,
           billing_total(cost, origin, began + interval '1 hour') - billing_total(cost, origin, began),
           CASE WHEN h BETWEEN 1 AND 7 THEN round(s.charge_usd_per_hour, 6) ELSE 0 END
    FROM billing_subject s, generate_series(0, 9) h,
    LATERAL (SELECT s.started_at + h * interval '1 hour' AS began,
                    CASE WHEN h < 8 THEN s.started_at ELSE s.started_at + interval '8 hours' END AS origin,
                    CASE WHEN h < 8 THEN s.cost_usd_per_hour ELSE s.stopped_usd_per_hour END AS cost) told
    WHERE began < %(hour)s
"""
STILL_RUN = """
    INSERT INTO billing_meter (subject_id, centre_id, kind, origin, since, cost_usd_per_hour, charge_usd_per_hour, is_charged)
    SELECT id, centre_id, 'running', started_at, %(hour)s, cost_usd_per_hour, charge_usd_per_hour, true
    FROM billing_subject WHERE ended_at IS NULL
"""
MADE_METERS = """
    WITH machines AS (
        INSERT INTO billing_subject (key, vm, centre_id, price_source, factors, cost_usd_per_hour, stopped_usd_per_hour,
                                     charge_usd_per_hour, started_at)
        SELECT 'now:' || n, md5('now' || n)::uuid, first.id + n %% %(centres)s, 'rate', '[]', 0.5, 0.5, 0.6,
               %(now)s::timestamptz - (n %% 3600) * interval '1 second'
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
        "start": now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 3),
        "hour": now.replace(minute=0, second=0, microsecond=0), "payer": ledger.house(ledger.UNOWNED).pk,
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
        for statement in (PEOPLE, MADE_CENTRES, MADE_SUBJECTS, MADE_RECORDS, STILL_RUN):
            cursor.execute(statement, told)
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = origin")
        days.rebuild(now)
        cursor.execute("VACUUM ANALYZE")


# What somebody would ask without any sums: the intervals for a report's figures, the machines' lives for VMs.
RAW_FIGURES = """
    SELECT {column}, coalesce(sum(us) FILTER (WHERE kind = 'running'), 0)::bigint, coalesce(sum(us) FILTER (WHERE is_charged), 0)::bigint,
           coalesce(sum(us) FILTER (WHERE kind = 'stopped'), 0)::bigint, sum(facts.cost_usd), sum(facts.charge_usd)
    FROM (SELECT *, (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us FROM billing_usagerecord) AS facts
    JOIN billing_costcentre centre ON centre.id = facts.centre_id WHERE facts.day BETWEEN %(start)s AND %(end)s GROUP BY 1
"""
RAW_VMS = """
    SELECT {column}, count(DISTINCT facts.vm) FROM billing_subject facts JOIN billing_costcentre centre ON centre.id = facts.centre_id
    WHERE facts.started_at < %(ends_at)s AND coalesce(facts.ended_at, 'infinity') > %(starts_at)s GROUP BY 1
"""
RAW_VMS_BY_DAY = """
    SELECT days.at::date, count(DISTINCT facts.vm) FROM billing_subject facts, LATERAL
    generate_series(date_trunc('day', greatest(facts.started_at, %(starts_at)s), 'UTC'),
                    least(facts.ended_at, %(ends_at)s) - interval '1 microsecond', interval '1 day') AS days (at)
    WHERE facts.started_at < %(ends_at)s AND coalesce(facts.ended_at, 'infinity') > %(starts_at)s GROUP BY 1
"""


def asked_raw(statement: str, period: Period) -> list[tuple[object, ...]]:
    told = {
        "start": period.start,
        "end": period.end,
        "starts_at": period.starts_at,
        "ends_at": period.ends_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, told)
        return cursor.fetchall()


def compare(title: str, period: Period, group: str, column: str, now: datetime) -> None:
    """A report beside the raw scan: its figures, and with its VMs counted. Measured as the API asks for it, compared in full."""

    def asked(counts_vms: bool, most: int | None = None) -> Sequence[tuple[object, ...]]:
        found = report(
            period=period, sight=STAFF, now=now, group_by=(group,), counts_vms=counts_vms, most=most
        )
        if counts_vms:
            return [(row.keys[0], row.vms) for row in found.rows]
        return [
            (row.keys[0], row.running_us, row.charged_us, row.stopped_us, row.cost_usd, row.charge_usd)
            for row in found.rows
        ]

    for name, counts_vms, statement in (
        (title, False, RAW_FIGURES.format(column=column)),
        ("  … its VMs", True, RAW_VMS_BY_DAY if group == "day" else RAW_VMS.format(column=column)),
    ):
        ours = costed(lambda counts_vms=counts_vms: asked(counts_vms, SHOWN))
        theirs = timed(lambda statement=statement: asked_raw(statement, period), repeats=1, warm=0)
        is_equal = sorted(asked(counts_vms), key=str) == sorted(asked_raw(statement, period), key=str)
        ratio = theirs.median / ours.whole.median
        holds = is_equal and ours.queries.p95 <= MOST_S and (ratio >= LEAST_RATIO or counts_vms)
        tell(
            name, f"{ours}{'' if is_equal else ', WRONG'}", holds,
            f"raw {theirs.median * 1000:,.0f} ms = {ratio:,.0f} x", under=title,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What a report takes: its queries, all of it, and the milliseconds of Postgres's CPU, which other work hardly changes."""

    queries: Timing
    whole: Timing
    cpu_ms: float

    def __str__(self) -> str:
        return f"p95 {self.queries.p95 * 1000:.0f} ms, of CPU {self.cpu_ms:.0f}; with rows made {self.whole.p95 * 1000:.0f}"


def costed(work: Callable[[], object], repeats: int = 20) -> Cost:
    queries: list[float] = []

    def clocked(execute: Callable[..., object], *asked: object) -> object:
        started = time.perf_counter()
        try:
            return execute(*asked)
        finally:
            queries[-1] += time.perf_counter() - started

    def once() -> None:
        queries.append(0.0)
        work()

    work()
    before = backend_cpu()
    with connection.execute_wrapper(clocked):
        whole = timed(once, repeats=repeats, warm=0)
    return Cost(Timing(tuple(queries)), whole, (backend_cpu() - before) / repeats * 1000)


def tell(title: str, measured: str, holds: bool, against: str, *, under: str = "") -> None:
    claim(title, measured, against=against, holds=holds)
    if not holds:
        missed.append(f"{under}{title}" if title.startswith(" ") else title)


def quick(title: str, work: Callable[[], object]) -> None:
    found = costed(work)
    tell(title, str(found), found.queries.p95 <= MOST_S, "")


def main() -> None:
    now = timezone.now()
    fill(now)
    yesterday = now.date() - timedelta(days=1)
    year = Period(yesterday - timedelta(days=DAYS - 2), yesterday, UTC)
    month = Period(yesterday - timedelta(days=29), yesterday, UTC)
    claim(
        "usage intervals",
        f"{UsageRecord.objects.count():,}",
        against=f"{CostCentre.objects.count():,} cost centres",
    )
    claim(
        "sums of days, of spans, coarse ones",
        f"{UsageDay.objects.count():,} / {UsageSpan.objects.count():,} / {UsageSum.objects.count():,}",
    )
    claim(
        "machines that took over; that run now", f"{Takeover.objects.count():,} / {Meter.objects.count():,}"
    )
    claim(
        "each report",
        "",
        against=f"queries p95 at most {MOST_S * 1000:.0f} ms; all of it at least {LEAST_RATIO} x the raw scan, equal to it",
    )
    for group, column in (
        ("provider", "centre.provider"), ("region", "centre.region"), ("console", "centre.console"), ("preset", "centre.preset"),
        ("project", "centre.project_id"), ("department", "centre.department_id"), ("user", "centre.user_id"), ("day", "facts.day"),
    ):  # fmt: skip
        compare(f"30 days by {group}", month, group, column, now)
        compare(f"a year by {group}", year, group, column, now)
    some(now, month, year)
    missed.extend(costs.pages())
    budgets(now, month.end)
    for one in missed:
        sys.stdout.write(f"MISS {one}\n")


def some(now: datetime, month: Period, year: Period) -> None:
    """Reports that narrow, and those that begin with today and so read the open meters."""
    whose = Sight(department_id=Department.objects.values_list("pk", flat=True)[0])
    asked = {"sight": STAFF, "now": now}
    quick(
        "a department's month by user", lambda: report(period=month, sight=whose, now=now, group_by=("user",))
    )
    quick("30 days of every user", lambda: report(period=month, group_by=("user",), **asked))
    quick("a year of every user", lambda: report(period=year, group_by=("user",), **asked))
    quick("a player's year", lambda: report(period=year, filters=Filters(user__handle="player7"), **asked))
    quick(
        "30 days by department and provider",
        lambda: report(period=month, group_by=("department", "provider"), **asked),
    )
    quick(
        "a year by department and provider",
        lambda: report(period=year, group_by=("department", "provider"), **asked),
    )
    quick("30 days by day and console", lambda: report(period=month, group_by=("day", "console"), **asked))
    quick("30 days, day by day", lambda: series(period=last_days(30, now, UTC), **asked))
    quick(
        "30 days beside those before",
        lambda: compared(period=last_days(30, now, UTC), group_by=("provider",), **asked),
    )
    quick("this month", lambda: report(period=month_so_far(now, UTC), **asked))
    quick("the month's forecast", lambda: forecast(zone=UTC, **asked))
    quick("the front page's figures", lambda: front_page_figures(now=now, zone=UTC))


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
