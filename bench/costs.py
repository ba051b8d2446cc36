"""Staff's pages of money over ten million intervals, rendered by the admin itself; `reports.py` fills the tables and calls this."""

from __future__ import annotations

import resource
from datetime import date, timedelta
from importlib import import_module

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.harness import claim, timed
from tests.factories import UserFactory

COSTS = "/admin/billing/usageday/"
MOST_MS = 150
YESTERDAY = date.today() - timedelta(days=1)
A_YEAR_AGO = date.today() - timedelta(days=364)
PAGES = (
    ("the cost reports, 30 days by provider", COSTS),
    ("the cost reports, 30 days by user", f"{COSTS}?by=user"),
    ("the cost reports, a year by day", f"{COSTS}?range=custom&start={A_YEAR_AGO}&end={YESTERDAY}&by=day"),
    ("the cost reports, a department's 30 days by user", f"{COSTS}?by=user&department=Department 7"),
    ("the staff front page", "/admin/"),
)


def pages() -> list[str]:
    """Measures each, and names those that take too long."""
    missed = []
    import_module("gamer.wsgi")  # loads and settles what the web server does
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    for title, path in PAGES:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        statements = len(asked)
        found = timed(lambda path=path: client.get(path), repeats=20, warm=2)
        claim(
            title, f"p95 {found.p95 * 1000:.0f} ms, median {found.median * 1000:.0f} ms",
            against=f"{statements} statements; at most {MOST_MS} ms", holds=found.p95 <= MOST_MS / 1000,
        )  # fmt: skip
        if found.p95 > MOST_MS / 1000:
            missed.append(title)
    export(client)
    return missed


def export(client: Client) -> None:
    """Every interval of thirty days as CSV, and what it adds to this process at most."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = 0

    def take() -> None:
        nonlocal rows
        answer = client.get(f"{COSTS}export/?what=intervals&as=csv")
        rows = sum(piece.count(b"\n") for piece in answer.streaming_content) - 1

    took = timed(take, repeats=1, warm=0).median
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    claim(
        f"{rows:,} intervals as CSV",
        f"{rows / took:,.0f} rows/s",
        against=f"memory grew {grown} MB; at most 32 MB",
        holds=grown <= 32,
    )
