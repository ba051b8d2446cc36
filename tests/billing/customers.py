"""Customers as processes of their own: launches, play and stops of one account, or the pass that closes hours.

`python -m tests.billing.customers customer|closer|keeper <account> <how many> <seed> …`; prints how many launches were let in, or
meters cut, a line for each seed: of several, each is a process. A keeper closes hours for so many customers until it is killed.
Each has a clock of its own that jumps back now and then; what is due is said twice, as a queue would. Who is told of a gate waits there:
customers after their first launch, closers before their first pass.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import NoReturn
from uuid import uuid4

BEGIN = datetime(2026, 6, 15, 12, tzinfo=UTC)
Process = get_context("fork").Process
STEP = timedelta(minutes=4)
PAUSE_S = 0.2
GATE = "CUSTOMERS_GATE"  # a file that is locked while it is shut


def clock(chance: random.Random, number: int) -> datetime:
    """On by some minutes each time, and every fifth time back by up to an hour."""
    back = timedelta(minutes=chance.randint(1, 60)) if chance.random() < 0.2 else timedelta()
    return max(BEGIN + STEP * number - back, BEGIN)


def pass_the_gate() -> None:
    if gate := os.environ.get(GATE):
        with open(gate) as file:
            fcntl.flock(file, fcntl.LOCK_SH)


def play(account_id: int, count: int, seed: int) -> int:
    """Launches and stops on one account, each with its hold; those it cannot pay are refused."""
    from django.db import transaction

    from billing.models import CreditAccount
    from billing.services import holds, metering, prices
    from billing.services.metering import Dimensions, Machine, State
    from gamer.crash import crash_point
    from gamer.errors import InsufficientCredits

    running, let_in = State("running"), 0
    playing = State("running", is_charged=True)
    chance = random.Random(seed)
    account = CreditAccount.objects.get(pk=account_id)
    price = prices.card(BEGIN).price("tensordock", "premium", "switch")
    for number in range(count):
        vm, now = uuid4(), clock(chance, number)
        machine = Machine(Dimensions(account_id, "tensordock", "switch", "premium"), price, now, vm)
        key = f"attempt:{seed}-{os.getpid()}-{number}"
        try:
            with transaction.atomic():
                holds.put(vm=vm, account=account, usd_per_hour=price.charge_usd_per_hour, now=now)
        except InsufficientCredits:
            continue
        let_in += 1
        for state in (running, playing, playing, None, None):
            with transaction.atomic():
                metering.follow(key=key, state=state, now=now, describe=lambda machine=machine: machine)
                if state is None:
                    holds.release(vm)
                crash_point("customer.inside")
            now += timedelta(minutes=chance.randint(-10, 60))
        if number == 0:
            pass_the_gate()
    return let_in


def close(count: int, seed: int) -> int:
    """Passes over the full hours, as two schedulers would run them at once."""
    from billing.services import hours

    chance = random.Random(seed)
    pass_the_gate()
    return sum(hours.close_hours(clock(chance, number), batch=3) for number in range(count))


def keep(customers: int, seed: int) -> NoReturn:
    """The same until it is killed, a few times a second, at the hour that so many customers have come to."""
    from billing.models import Subject
    from billing.services import hours

    chance = random.Random(seed)
    while True:
        hours.close_hours(clock(chance, Subject.objects.count() // customers), batch=3)
        time.sleep(PAUSE_S)


def work(role: str, account_id: int, count: int, seed: int) -> None:
    if role == "keeper":
        keep(count, seed)
    done = play(account_id, count, seed) if role == "customer" else close(count, seed)
    os.write(sys.stdout.fileno(), f"{done}\n".encode())


def main() -> None:
    import django

    from gamer import heap

    with heap.loading():
        django.setup()
    role, account_id, count, *seeds = sys.argv[1], *map(int, sys.argv[2:])
    if len(seeds) == 1:
        work(role, account_id, count, *seeds)
        return
    # Before anything is asked of the database: a connection is no good to two.
    children = [Process(target=work, args=(role, account_id, count, seed)) for seed in seeds]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(any(child.exitcode for child in children))


if __name__ == "__main__":
    main()
