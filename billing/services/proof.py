"""Whether money is what it should be: every law counted again from the rows. Each check is one statement."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min

from billing.models import Entry, Meter, Verification
from billing.models.sums import BLOCK_DAYS, LONGEST_SPAN_DAYS
from billing.notices import mail_staff
from billing.services.days import EVERY_TWO, FIGURES, LAST_DAY, WHOM, first_of, pair_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One law, how many rows break it, and the first of them."""

    law: str
    broken: int
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.broken == 0


TAKEN = ", ".join(f"-{name}" for name in FIGURES.split(", "))
# Of both sides of an equation, one of them taken from the other.
DIFFERS = f"({', '.join(f'sum({name})' for name in FIGURES.split(', '))}) <> (0, 0, 0, 0, 0, 0, 0, 0, 0)"
# Each statement names what breaks the law, one row each.
LAWS: dict[str, str] = {
    "the ledger sums to zero": "SELECT sum(amount_usd)::text FROM billing_leg HAVING sum(amount_usd) <> 0",
    "each entry sums to zero and is whole": """
        SELECT entry.key FROM billing_entry entry
          LEFT JOIN (SELECT entry_id, sum(amount_usd) AS usd, count(*) AS legs FROM billing_leg GROUP BY entry_id) AS sums
            ON sums.entry_id = entry.id
         WHERE sums.usd IS DISTINCT FROM 0 OR sums.legs IS DISTINCT FROM entry.legs_count""",
    "balances equal the replay of all entries": """
        SELECT account.id::text FROM billing_creditaccount account
          LEFT JOIN (SELECT account_id, sum(amount_usd) AS usd FROM billing_leg GROUP BY account_id) AS sums
            ON sums.account_id = account.id
         WHERE account.balance_usd <> CASE WHEN account.kind = 'house' THEN 0 ELSE coalesce(sums.usd, 0) END""",
    "what is held equals the holds": """
        SELECT account.id::text FROM billing_creditaccount account
          LEFT JOIN (SELECT account_id, sum(amount_usd) AS usd FROM billing_hold GROUP BY account_id) AS sums
            ON sums.account_id = account.id
         WHERE account.held_usd <> coalesce(sums.usd, 0)""",
    "no interval is counted twice": """
        SELECT id::text FROM (
            SELECT id, started_at < lag(ended_at) OVER (PARTITION BY subject_id ORDER BY started_at) AS is_double
              FROM billing_usagerecord) AS records WHERE is_double
        UNION ALL
        SELECT meter.subject_id::text FROM billing_meter meter
         WHERE EXISTS (SELECT FROM billing_usagerecord record
                        WHERE record.subject_id = meter.subject_id AND record.ended_at > meter.since)""",
    "no second is missing": """
        SELECT subject.id::text FROM billing_subject subject
          LEFT JOIN (SELECT subject_id, sum(ended_at - started_at) AS used FROM billing_usagerecord GROUP BY subject_id) AS sums
            ON sums.subject_id = subject.id
          LEFT JOIN billing_meter meter ON meter.subject_id = subject.id
         WHERE coalesce(sums.used, interval '0') IS DISTINCT FROM coalesce(meter.since, subject.ended_at) - subject.started_at""",
    "each interval costs what its prices say": """
        SELECT id::text FROM billing_usagerecord
         WHERE cost_usd <> billing_total(cost_usd_per_hour, origin, ended_at)
                         - billing_total(cost_usd_per_hour, origin, started_at)
            OR charge_usd <> billing_total(charge_usd_per_hour, origin, ended_at)
                           - billing_total(charge_usd_per_hour, origin, started_at)""",
    "each charge is posted once, to its payer": """
        SELECT record.id::text FROM billing_usagerecord record
          JOIN billing_costcentre centre ON centre.id = record.centre_id
          LEFT JOIN billing_leg leg ON leg.record_id = record.id
         WHERE record.charge_usd <> coalesce(-leg.amount_usd, 0)
            OR (leg.id IS NOT NULL AND leg.account_id <> centre.payer_id)""",
    "each day is the sum of its intervals": f"""
        SELECT day::text || ' ' || centre_id
          FROM (SELECT day, centre_id, {FIGURES} FROM billing_usageday
                UNION ALL
                SELECT (record.started_at AT TIME ZONE %(zone)s)::date, record.centre_id,
                       CASE kind WHEN 'running' THEN -us ELSE 0 END, CASE WHEN is_charged THEN -us ELSE 0 END,
                       CASE kind WHEN 'stopped' THEN -us ELSE 0 END, CASE kind WHEN 'storage' THEN -us ELSE 0 END,
                       -cost_usd, -charge_usd,
                       CASE kind WHEN 'running' THEN 0 ELSE
                            cost_usd - billing_total(machine.cost_usd_per_hour, record.started_at, record.ended_at) END, 0, 0
                  FROM billing_usagerecord record JOIN billing_subject machine ON machine.id = record.subject_id,
                       LATERAL (SELECT (extract(epoch FROM record.ended_at - record.started_at) * 1000000)::bigint AS us) AS timed
                UNION ALL
                SELECT (started_at AT TIME ZONE %(zone)s)::date, centre_id, 0, 0, 0, 0, 0, 0, 0, -1, 0
                  FROM billing_subject WHERE vm IS NOT NULL
                UNION ALL
                SELECT {LAST_DAY.format("machine")}, centre_id, 0, 0, 0, 0, 0, 0, 0, 0, -1
                  FROM billing_subject machine WHERE vm IS NOT NULL AND ended_at IS NOT NULL) AS both_sides
         GROUP BY day, centre_id HAVING {DIFFERS}""",  # noqa: S608  # our own words only
    "each span is the sum of its days": f"""
        SELECT length::text || ' days from ' || day || ' ' || centre_id
          FROM (SELECT length, day, centre_id, {FIGURES} FROM billing_usagespan
                UNION ALL
                SELECT 2 * length, {first_of("day", "(2 * length)")}, centre_id, {TAKEN}
                  FROM (SELECT length, day, centre_id, {FIGURES} FROM billing_usagespan
                         WHERE is_folded AND length < {LONGEST_SPAN_DAYS}
                        UNION ALL SELECT 1, day, centre_id, {FIGURES} FROM billing_usageday WHERE is_folded) AS halves
               ) AS both_sides
         GROUP BY length, day, centre_id HAVING {DIFFERS}""",  # noqa: S608
    "each running sum is the one before and its day": f"""
        SELECT day::text || ' ' || coalesce(user_id::text, 'nobody')
          FROM (SELECT day, {WHOM}, {FIGURES} FROM billing_usagetodate
                UNION ALL
                SELECT day + 1, {WHOM}, {TAKEN} FROM billing_usagetodate
                 WHERE day < (SELECT max(day) FROM billing_usagetodate)
                   AND {first_of("day", BLOCK_DAYS)} = {first_of("(day + 1)", BLOCK_DAYS)}
                UNION ALL
                SELECT day, {WHOM}, {TAKEN}
                  FROM billing_usageday days JOIN billing_costcentre centre ON centre.id = days.centre_id WHERE is_folded) AS both_sides
         GROUP BY day, {WHOM} HAVING {DIFFERS}""",  # noqa: S608
    "each coarse sum is the sum of its days": f"""
        SELECT day::text || ' ' || face
          FROM (SELECT day, face, provider, provider_account, region, console, preset, project_id, department_id, {FIGURES}
                  FROM billing_usagesum
                UNION ALL
                SELECT day, face,
                       CASE WHEN face IN ('place', 'product') THEN provider ELSE '' END,
                       CASE WHEN face IN ('place', 'product') THEN provider_account END,
                       CASE WHEN face IN ('place', 'product') THEN region ELSE '' END,
                       CASE WHEN face IN ('game', 'product') THEN console ELSE '' END,
                       CASE WHEN face IN ('game', 'product') THEN preset ELSE '' END,
                       CASE face WHEN 'tenant' THEN project_id END, CASE face WHEN 'tenant' THEN department_id END, {TAKEN}
                  FROM billing_usageday days JOIN billing_costcentre centre ON centre.id = days.centre_id
                 CROSS JOIN (VALUES ('all'), ('place'), ('game'), ('product'), ('tenant')) AS faces (face)) AS both_sides
         GROUP BY day, face, provider, provider_account, region, console, preset, project_id, department_id
        HAVING {DIFFERS}""",  # noqa: S608
    "every two machines of a VM are known": f"""
        SELECT coalesce(known.subject_id, told.subject_id)::text
          FROM billing_takeover known
          FULL JOIN ({EVERY_TWO}) AS told ON told.subject_id = known.subject_id AND told.before_id = known.before_id
         WHERE ({pair_of("known")}) IS DISTINCT FROM ({pair_of("told")})""",  # noqa: S608
}
EXAMPLES = 5


def verify() -> Iterator[Finding]:
    """Each law in turn, with what breaks it. Call inside `one_moment`, for money moves on meanwhile."""
    for law, rows in LAWS.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH broken (row) AS ({rows})"  # noqa: S608  our own statements
                f" SELECT (SELECT count(*) FROM broken), array(SELECT row FROM broken LIMIT {EXAMPLES})",
                {"zone": settings.BILLING_TIME_ZONE},
            )
            broken, examples = cursor.fetchone()
        yield Finding(law, broken, tuple(examples))


@contextmanager
def one_moment() -> Iterator[None]:
    """Has everything inside see the rows of one moment. Not inside another transaction."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def prove(now: datetime) -> bool:
    """Verifies everything and keeps the outcome; a broken law is shouted about: the log, an event, a mail, and /health.

    False when somebody is at it: the queue hands long work out again before it is done.
    """
    with one_moment():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('billing.proof'))")
            (is_ours,) = cursor.fetchone()
        if not is_ours:
            return False
        findings = list(verify())
    keep(findings, now)
    return True


def keep(findings: list[Finding], now: datetime) -> list[Finding]:
    broken = {
        one.law: {"rows": one.broken, "examples": list(one.examples)} for one in findings if not one.holds
    }
    with transaction.atomic():
        proof = Verification.objects.create(at=now, broken=broken)
        if broken:
            log.error("the ledger does not hold: %s", broken)
            mail_staff(
                key=f"verification-{proof.pk}", kind="billing.ledger_broken", subject="[critical] The books do not add up",
                text=f"Broken: {'; '.join(sorted(broken))}. The admin's page Proofs has some of the rows.",
                details={"laws": broken}, action="ledger_broken", now=now,
            )  # fmt: skip
    return findings


@dataclass(frozen=True, slots=True)
class Standing:
    """How the books are: the laws that the last proof found broken, since when nothing was proven, and the longest open interval."""

    broken: tuple[str, ...]
    proven_at: datetime | None
    unproven_for: timedelta
    open_for: timedelta


def standing(now: datetime) -> Standing:
    proof = Verification.objects.first()
    # Where no proof ever came to its end, what waits for one begins with the first entry.
    since = (
        proof.at if proof is not None else Entry.objects.order_by("id").values_list("at", flat=True).first()
    )
    oldest = Meter.objects.aggregate(oldest=Min("since"))["oldest"]
    return Standing(
        broken=tuple(sorted(proof.broken)) if proof is not None else (),
        proven_at=proof.at if proof is not None else None,
        unproven_for=max(now - since, timedelta(0)) if since is not None else timedelta(0),
        open_for=max(now - oldest, timedelta(0)) if oldest is not None else timedelta(0),
    )
