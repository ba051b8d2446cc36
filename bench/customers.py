"""10,000 launches and stops from 8 processes against one account, hours closed by two more that are killed again and again.

Afterwards every law of money is counted from the rows.
"""

from __future__ import annotations

import random
import subprocess
import time
from datetime import timedelta
from decimal import Decimal

from django.db.models import Sum

from accounts.principal import command
from bench.harness import claim
from billing.models import CreditAccount, Leg, UsageRecord
from billing.services import accounts, credits, hours, proof, seeding
from tests.billing.customers import BEGIN
from tests.billing.processes import clear_up, results, start
from tests.factories import UserFactory

LAUNCHES, CUSTOMERS, KEEPERS = 10_000, 8, 2
CREDIT = Decimal(1_000_000)
KILLED_EVERY_S = 10.0
LONGEST_S = 3_600
AFTERWARDS = timedelta(days=30)


def main() -> None:
    seeding.seed(BEGIN)
    user = UserFactory()
    account = accounts.account_of(user, BEGIN)
    credits.change(by=command("bench"), owner=user, usd=CREDIT, reason="Bench", now=BEGIN)
    account.refresh_from_db()
    given = account.balance_usd
    took, let_in, kills = played(account)
    clear_up(account, BEGIN + AFTERWARDS)
    hours.close_hours(BEGIN + AFTERWARDS)
    name = f"{sum(let_in):,} launches and stops, {CUSTOMERS} processes, one account"
    claim(
        name,
        f"{took:.0f} s, {sum(let_in) / took:.0f} a second",
        against=f"{kills} passes over the hours killed",
    )
    report(account, given)


def played(account: CreditAccount) -> tuple[float, list[int], int]:
    """Has all customers play to their end; the seconds, what each was let in, and how many passes were killed meanwhile."""
    chance, kills = random.Random(20_26), 0
    started = time.perf_counter()
    customers = [start("customer", account, LAUNCHES // CUSTOMERS, seed) for seed in range(CUSTOMERS)]
    keepers = [start("keeper", account, CUSTOMERS, 100 + seed) for seed in range(KEEPERS)]
    while any(one.poll() is None for one in customers):
        time.sleep(KILLED_EVERY_S)
        kills += 1
        killed(keepers.pop(chance.randrange(KEEPERS)))
        keepers.append(start("keeper", account, CUSTOMERS, 200 + kills))
    took = time.perf_counter() - started
    for keeper in keepers:
        killed(keeper)
    return took, results(customers, LONGEST_S), kills


def killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def report(account: CreditAccount, given: Decimal) -> None:
    """The sums as they are, and each law with how often it is broken."""
    account.refresh_from_db()
    used = UsageRecord.objects.aggregate(usd=Sum("charge_usd"))["usd"]
    legs = Leg.objects.aggregate(usd=Sum("amount_usd"))["usd"]
    intervals, lines = UsageRecord.objects.count(), Leg.objects.count()
    claim(f"sum of {lines:,} lines of the ledger", f"{legs} USD", against="exactly 0", holds=legs == 0)
    drift = account.balance_usd - (given - used)
    claim(
        f"balance {account.balance_usd} after {intervals:,} intervals of {used} USD",
        f"drift {drift}",
        against="exactly 0",
        holds=drift == 0,
    )
    claim("held", f"{account.held_usd} USD", against="exactly 0", holds=account.held_usd == 0)
    for finding in proof.verify():
        claim(finding.law, f"{finding.broken} broken", against="exactly 0", holds=finding.holds)
