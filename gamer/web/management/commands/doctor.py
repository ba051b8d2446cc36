"""`manage.py doctor`: looks at all this host needs, and says what to do about each thing that is not well."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from gamer.web import doctor
from gamer.web.doctor import Verdict

MARKS = {Verdict.FINE: "ok  ", Verdict.WORSE: "warn", Verdict.BROKEN: "FAIL"}


class Command(BaseCommand):
    help = (
        "Checks this host: environment, database, queue, geocoder, programs, and every provider account by a cheap call. "
        "Exit code 0 when all is well, 1 when something is not to be had, 2 when something is broken."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = doctor.look(timezone.now())
        worst = max((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.FINE)
        if options["json"]:
            told = {"verdict": worst, "findings": [asdict(finding) for finding in findings]}
            self.stdout.write(json.dumps(told, indent=2))
        else:
            for finding in findings:
                self.stdout.write(f"{MARKS[finding.verdict]}  {finding.name}: {finding.text}")
                if finding.advice and finding.verdict is not Verdict.FINE:
                    self.stdout.write(f"      {finding.advice}")
        if worst is not Verdict.FINE:
            raise SystemExit(list(Verdict).index(worst))
