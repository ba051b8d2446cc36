"""`manage.py billing_alerts`: where today and this month stand, for cron and Nagios. Exit code 0 fine, 1 warning, 2 critical, 3 unknown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from billing.budgets.watch import zone
from billing.notices import tell_staff
from billing.reports import spending_now
from billing.reports.spending import STAFF, Alert, alerts
from gamer.monitored import UNKNOWN

EXITS = {"warning": 1, "critical": 2}


def limit(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount") from None
    if not found.is_finite() or not 0 < found < Decimal(10) ** 12:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0")
    return found


class Command(BaseCommand):
    help = (
        "Compares what providers ask for today and this month with limits; exits 0 fine, 1 from 80 %, 2 from 100 % on, and 3 when it "
        "cannot say: the database is away, or an option or the environment cannot be read."
    )
    requires_system_checks = ()  # their errors would end it with 1, and reading sums needs none of what they look at

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """One that raises CommandError: argparse by itself ends with 2, which is Nagios' word for critical."""
        parser = super().create_parser(prog_name, subcommand, **options)
        parser.called_from_command_line = False
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """What is foreseen is told without a traceback; of the rest `gamer.monitored` tells."""
        try:
            super().run_from_argv(argv)
        except (CommandError, DatabaseError, InterfaceError, ZoneInfoNotFoundError) as error:
            self.stdout.write(f"UNKNOWN - {error}")
            sys.exit(UNKNOWN)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--daily-limit", type=limit, default=Decimal(50), metavar="USD")
        parser.add_argument("--monthly-limit", type=limit, default=Decimal(500), metavar="USD")
        parser.add_argument("--json", action="store_true", help="the answer of GET /billing/alerts")
        parser.add_argument(
            "--notify", action="store_true", help="mail staff what there is, each alert once a day or month"
        )

    def handle(
        self, *args: Any, daily_limit: Decimal, monthly_limit: Decimal, notify: bool = False, **options: Any
    ) -> None:
        now = timezone.now()
        spending = spending_now(sight=STAFF, now=now, zone=zone())
        found = alerts(spending, daily_limit=daily_limit, monthly_limit=monthly_limit)
        if notify:
            tell_staff(found, now=now, zone=zone())
        usage = {
            "daily_cost": spending.daily_usd, "monthly_cost": spending.monthly_usd, "daily_limit": daily_limit,
            "monthly_limit": monthly_limit,
        }  # fmt: skip
        self.stdout.write(_as_json(found, usage) if options["json"] else _as_text(found, usage, now))
        code = max((EXITS[one.severity] for one in found), default=0)
        if code:
            sys.exit(code)


def _as_json(found: Sequence[Alert], usage: dict[str, Decimal]) -> str:
    figures = {name: float(usd) for name, usd in usage.items()}
    return json.dumps({"alerts": [asdict(one) for one in found], "current_usage": figures}, indent=2)


def _as_text(found: Sequence[Alert], usage: dict[str, Decimal], now: datetime) -> str:
    """The first line is what Nagios shows."""
    worst = max((one.severity for one in found), key=EXITS.__getitem__, default="")
    head = {"": "OK", "warning": "WARNING", "critical": "CRITICAL"}[worst]
    state = (
        f"{head} - today {usage['daily_cost']:.2f} of {usage['daily_limit']:.2f} USD, "
        f"this month {usage['monthly_cost']:.2f} of {usage['monthly_limit']:.2f} USD"
        f" | daily={usage['daily_cost']:.6f} monthly={usage['monthly_cost']:.6f}"
    )
    return "\n".join([state, *(f"{one.severity}: {one.message}" for one in found)])
