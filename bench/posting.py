"""One writer of `bench.money`: postings of a cent, or bare updates, until its time is over.

Prints how many, and the seconds of CPU that it and its backend used for them.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from uuid import uuid4

from bench.harness import backend_cpu

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
CENT = Decimal("0.01")


def write(kind: str, lasting: float, account_ids: list[int]) -> int:
    from django.db import connection

    from billing import ledger
    from billing.models import Entry

    chance, done, ours = Random(), 0, ledger.house(ledger.GIVEN).pk
    until = time.perf_counter() + lasting
    while time.perf_counter() < until:
        account = chance.choice(account_ids)
        if kind == "bare":
            with connection.cursor() as cursor:
                cursor.execute("UPDATE billing_creditaccount SET warned_at = now() WHERE id = %s", [account])
        else:
            sides = [ledger.Side(account, CENT), ledger.Side(ours, -CENT)]
            posting = ledger.Posting(f"bench:{uuid4().hex}", Entry.Kind.GRANT, sides, "command:bench")
            ledger.post_many([posting], NOON)
        done += 1
    return done


def main() -> None:
    import django

    django.setup()
    kind, lasting, ids = sys.argv[1], float(sys.argv[2]), [int(one) for one in sys.argv[3].split(",")]
    write(kind, 0.1, ids)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.readline()
    ours, backend = time.process_time(), backend_cpu()
    done = write(kind, lasting, ids)
    sys.stdout.write(f"{done} {time.process_time() - ours} {backend_cpu() - backend}\n")


if __name__ == "__main__":
    main()
