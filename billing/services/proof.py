"""Whether money is what it should be: every law counted again from the rows. Each check is one statement."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from billing.models import Verification
from events.services import Happening, record

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
    "each day is the sum of its intervals": """
        SELECT coalesce(sums.day, days.day)::text || ' ' || coalesce(sums.centre_id, days.centre_id)
          FROM (SELECT (started_at AT TIME ZONE %(zone)s)::date AS day, centre_id,
                       sum(us) FILTER (WHERE kind = 'running') AS running_us, sum(us) FILTER (WHERE is_charged) AS charged_us,
                       sum(us) FILTER (WHERE kind = 'stopped') AS stopped_us, sum(us) FILTER (WHERE kind = 'storage') AS storage_us,
                       sum(cost_usd) AS cost_usd, sum(charge_usd) AS charge_usd, sum(vms_begun) AS vms_begun
                  FROM (SELECT started_at, centre_id, kind, is_charged, cost_usd, charge_usd, 0 AS vms_begun,
                               (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS us FROM billing_usagerecord
                        UNION ALL SELECT started_at, centre_id, '', false, 0, 0, 1, 0 FROM billing_subject WHERE is_counted) AS timed
                 GROUP BY 1, 2) AS sums
          FULL JOIN billing_usageday days ON days.day = sums.day AND days.centre_id = sums.centre_id
         WHERE (coalesce(sums.running_us, 0), coalesce(sums.charged_us, 0), coalesce(sums.stopped_us, 0),
                coalesce(sums.storage_us, 0), coalesce(sums.cost_usd, 0), coalesce(sums.charge_usd, 0),
                coalesce(sums.vms_begun, 0))
            IS DISTINCT FROM
               (coalesce(days.running_us, 0), coalesce(days.charged_us, 0), coalesce(days.stopped_us, 0),
                coalesce(days.storage_us, 0), coalesce(days.cost_usd, 0), coalesce(days.charge_usd, 0),
                coalesce(days.vms_begun, 0))""",
    "each coarse sum is the sum of its days": """
        SELECT day::text || ' ' || face
          FROM (SELECT day, face, provider, provider_account, region, console, preset, project_id, department_id,
                       running_us, charged_us, stopped_us, storage_us, cost_usd, charge_usd, vms_begun
                  FROM billing_usagesum
                UNION ALL
                SELECT day, face,
                       CASE WHEN face IN ('place', 'product') THEN provider ELSE '' END,
                       CASE WHEN face IN ('place', 'product') THEN provider_account END,
                       CASE WHEN face IN ('place', 'product') THEN region ELSE '' END,
                       CASE WHEN face IN ('game', 'product') THEN console ELSE '' END,
                       CASE WHEN face IN ('game', 'product') THEN preset ELSE '' END,
                       CASE face WHEN 'tenant' THEN project_id END, CASE face WHEN 'tenant' THEN department_id END,
                       -running_us, -charged_us, -stopped_us, -storage_us, -cost_usd, -charge_usd, -vms_begun
                  FROM billing_usageday days JOIN billing_costcentre centre ON centre.id = days.centre_id
                 CROSS JOIN (VALUES ('all'), ('place'), ('game'), ('product'), ('tenant')) AS faces (face)) AS both_sides
         GROUP BY day, face, provider, provider_account, region, console, preset, project_id, department_id
        HAVING (sum(running_us), sum(charged_us), sum(stopped_us), sum(storage_us), sum(cost_usd), sum(charge_usd), sum(vms_begun))
               <> (0, 0, 0, 0, 0, 0, 0)""",
    "each VM is counted by one machine": """
        SELECT vm::text FROM billing_subject WHERE vm IS NOT NULL
         GROUP BY vm HAVING count(*) FILTER (WHERE is_counted) <> 1""",
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


def prove(now: datetime) -> list[Finding]:
    """Verifies everything and keeps the outcome; a broken law is shouted about: the log, an event, and /health."""
    with one_moment():
        findings = list(verify())
    return keep(findings, now)


def keep(findings: list[Finding], now: datetime) -> list[Finding]:
    broken = {
        one.law: {"rows": one.broken, "examples": list(one.examples)} for one in findings if not one.holds
    }
    with transaction.atomic():
        proof = Verification.objects.create(at=now, broken=broken)
        if broken:
            log.error("the ledger does not hold: %s", broken)
            record(
                Happening(
                    at=now, actor="policy:ledger", action="ledger_broken", resource="billing",
                    resource_id=f"verification-{proof.pk}", details={"laws": broken},
                )
            )  # fmt: skip
    return findings
