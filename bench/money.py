"""Money at size: holds decided, hours closed, postings a second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from django.db import connection, transaction

from accounts.models import User
from bench.harness import backend_cpu, claim, timed
from billing.models import CostCentre, CreditAccount, Entry, Hold, Meter, Subject, UsageRecord
from billing.services import accounts, days, grants, hours, proof, runway, seeding
from gamer.env import ROOT
from tests.factories import UserFactory
from tests.gamer.queue.cluster import own_url

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
RUNNING, PAYERS = 100_000, 1_000
WRITERS, SECONDS = 8, 5
PRICE = Decimal("1.56")


def payers(count: int) -> list[CreditAccount]:
    """Accounts of as many players, with credit for a long time."""
    User.objects.bulk_create(
        UserFactory.build(email=f"p{number}@gamer.test", handle=f"p{number}") for number in range(count)
    )
    users = User.objects.filter(handle__startswith="p", credit_account=None)
    opened = [accounts.account_of(user, NOON) for user in users]
    for account in opened:
        grants.give(
            account=account, usd=Decimal(1_000), key=f"bench:{account.pk}", kind=Entry.Kind.GRANT, actor="command:bench",
            reason="Bench", now=NOON,
        )  # fmt: skip
    return opened


def fleet(accounts_: list[CreditAccount], count: int) -> None:
    """As many machines that play since noon, spread over the accounts, each with its hold."""
    with transaction.atomic():
        centres = CostCentre.objects.bulk_create(
            CostCentre(payer=one, user=one.user, provider="tensordock", console="switch", preset="premium")
            for one in accounts_
        )
        subjects = Subject.objects.bulk_create(
            (
                Subject(
                    key=f"attempt:{number}", vm=uuid4(), centre=centres[number % len(centres)], price_source="quote",
                    cost_usd_per_hour=PRICE, stopped_usd_per_hour=PRICE, charge_usd_per_hour=PRICE, started_at=NOON,
                )
                for number in range(count)
            ),
            batch_size=5000,
        )  # fmt: skip
        days.rebuild(NOON)
        Meter.objects.bulk_create(
            (
                Meter(
                    subject=one, centre_id=one.centre_id, kind="running", origin=NOON, since=NOON, is_charged=True,
                    cost_usd_per_hour=PRICE, charge_usd_per_hour=PRICE,
                )
                for one in subjects
            ),
            batch_size=5000,
        )  # fmt: skip
        Hold.objects.bulk_create(
            (
                Hold(
                    vm=one.vm, account_id=one.centre.payer_id, amount_usd=PRICE, held_at=NOON, renewed_at=NOON
                )
                for one in subjects
            ),
            batch_size=5000,
        )
        run(
            "UPDATE billing_creditaccount account SET held_usd = sums.usd"
            " FROM (SELECT account_id, sum(amount_usd) AS usd FROM billing_hold GROUP BY 1) AS sums"
            " WHERE sums.account_id = account.id"
        )
    run("VACUUM ANALYZE")


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bare(like: str = "") -> float:
    """The reference: the rows that are there, once more into tables without a law, as the two bare statements take them."""
    for table in ("usagerecord", "leg"):
        run(f"CREATE TABLE bare_{table} (LIKE billing_{table} {like})")
    took = seconds(
        lambda: [run(f"INSERT INTO bare_{one} SELECT * FROM billing_{one}") for one in ("usagerecord", "leg")]
    )
    run("DROP TABLE bare_usagerecord, bare_leg")
    return took


def main() -> None:
    seeding.seed(NOON)
    fleet(payers(PAYERS), RUNNING)
    looked = timed(lambda: runway.look(NOON + timedelta(minutes=30)), repeats=5)
    claim(
        f"deciding holds for {RUNNING:,} running VMs",
        f"{looked.median:.2f} s",
        against="at most 1 s",
        holds=looked.median <= 1,
    )
    cpu = backend_cpu()
    closing = seconds(lambda: hours.close_hours(NOON + timedelta(minutes=61)))
    cpu = backend_cpu() - cpu
    assert UsageRecord.objects.count() == RUNNING
    plain, indexed = bare(), bare("INCLUDING INDEXES")
    claim(
        f"closing {RUNNING:,} hourly intervals with their legs",
        f"{closing:.2f} s, {cpu:.2f} s of CPU",
        against=f"at most 8 s; bare INSERT … SELECT of the same rows {plain:.2f} s, {closing / plain:.0f} x; "
        f"with the same indexes {indexed:.2f} s, {closing / indexed:.1f} x",
        holds=closing <= 8,
    )
    again = seconds(lambda: hours.close_hours(NOON + timedelta(minutes=121)))
    claim("the same an hour later, on top of it", f"{again:.2f} s", against="at most 8 s", holds=again <= 8)
    verified = seconds(lambda: [assert_holds(one) for one in proof.verify()])
    claim(f"proving {2 * RUNNING:,} intervals and their legs", f"{verified:.2f} s")
    ids = list(CreditAccount.objects.filter(kind="user").values_list("pk", flat=True))
    for name, chosen in (("one account", ids[:1]), (f"{PAYERS:,} accounts", ids)):
        posted, bare_updates = writers("post", chosen), writers("bare", chosen)
        claim(
            f"postings a second, {WRITERS} writers on {name}",
            f"{posted.rate:.0f}, {posted.ours_ms + posted.backend_ms:.2f} ms of CPU each",
            against=f"bare UPDATE {bare_updates.rate:.0f}, {bare_updates.ours_ms + bare_updates.backend_ms:.2f} ms of CPU; "
            f"{bare_updates.rate / posted.rate:.1f} x",
        )
    for finding in proof.verify():
        assert_holds(finding)


def assert_holds(finding: proof.Finding) -> None:
    assert finding.holds, finding


@dataclass(frozen=True)
class Written:
    """What all writers together committed a second, and the CPU of one: the writer's and its backend's."""

    rate: float
    ours_ms: float
    backend_ms: float


def writers(kind: str, account_ids: list[int]) -> Written:
    """As many processes as there are writers; each posts, or only updates a row, one statement and transaction at a time."""
    ours = {"DATABASE_URL": own_url(), "GAMER_TEST_DATABASE_URL": own_url(), "GAMER_PROCESS": "command"}
    environment = {**os.environ, **ours}
    ids = ",".join(map(str, account_ids))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.posting", kind, str(SECONDS), ids],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        )
        for _ in range(WRITERS)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # it is up
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in processes]
    done, cpu, backend = (sum(map(float, column)) for column in zip(*told, strict=True))
    return Written(done / SECONDS, cpu / done * 1000, backend / done * 1000)
