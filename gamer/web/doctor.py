"""What `manage.py doctor` looks at on this host. Apps above add theirs by dotted path in settings.DOCTOR_CHECKS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string
from django_q.models import Schedule

from gamer.sealed import as_stored, is_openable, sealed_fields
from gamer.web import health

OLDEST_POSTGRES = 15
VERSION_S = 20
ERROR_LEVEL = 40


class Verdict(StrEnum):
    """What a finding means, the best first."""

    FINE = "fine"
    WORSE = "worse"  # something is not to be had; the rest works
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` says what to do, where there is something to do."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


Check = Callable[[datetime], Iterable[Finding]]


def environment(now: datetime) -> Iterable[Finding]:
    """The system checks, in a doctor's words."""
    messages: Sequence[CheckMessage] = run_checks(include_deployment_checks=settings.ENV.is_production)
    # As `check` does: what the settings silence was decided, and is nobody's to repair.
    found = [message for message in messages if not message.is_silenced()]
    if not found:
        yield Finding("environment", Verdict.FINE, "every variable can be read")
    for message in found:
        verdict = Verdict.BROKEN if message.level >= ERROR_LEVEL else Verdict.WORSE
        yield Finding(f"environment {message.id}", verdict, message.msg, message.hint or "")


def database(now: datetime) -> Iterable[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
        number, version = cursor.fetchone()
    if number // 10_000 < OLDEST_POSTGRES:
        yield Finding(
            "database", Verdict.BROKEN, f"Postgres {version}", f"Use Postgres {OLDEST_POSTGRES} or later."
        )
        return
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        yield Finding("database", Verdict.BROKEN, f"{len(waiting)} migrations wait", "Run: manage.py migrate")
    else:
        yield Finding("database", Verdict.FINE, f"Postgres {version}, migrated")


def keys(now: datetime) -> Iterable[Finding]:
    """Whether every secret can be opened: one that cannot stops whoever needs it, and nobody else."""
    lost = {
        f"{model._meta.label}.{field}": sum(
            not is_openable(token)
            for token in as_stored(model, field).values_list("token", flat=True).iterator()
        )
        for model, field in sealed_fields()
    }
    told = ", ".join(f"{count} of {column}" for column, count in lost.items() if count)
    if told:
        advice = (
            "Put the key that sealed them back into GAMER_KEYS, behind the first, and restart everything."
        )
        yield Finding("keys", Verdict.BROKEN, f"no key in GAMER_KEYS opens {told}", advice)
    else:
        yield Finding("keys", Verdict.FINE, "GAMER_KEYS opens every secret")


def queue(now: datetime) -> Iterable[Finding]:
    """Work that nobody takes up: no worker runs, or none that can reach this database."""
    for part in (*health.queue(now), *health.scheduler(now)):
        if part.problem:
            yield Finding(part.name, Verdict.BROKEN, part.problem, "Start a worker: manage.py qworker")
        else:
            yield Finding(part.name, Verdict.FINE, "nothing waits")


def schedules(now: datetime) -> Iterable[Finding]:
    """What repeats by itself comes from `seed` alone: after an upgrade without it, new work would never be done."""
    kept = dict(Schedule.objects.filter(name__in=settings.SCHEDULES).values_list("name", "repeats"))
    missing = [name for name in settings.SCHEDULES if name not in kept]
    off = [name for name in settings.SCHEDULES if kept.get(name) == 0]
    if missing:
        yield Finding("schedules", Verdict.BROKEN, f"not there: {', '.join(missing)}", "Run: manage.py seed")
    if off:
        advice = (
            "Failed tasks in the admin say why, if nobody did it; on again with Repeats -1 under Schedules."
        )
        yield Finding("schedules", Verdict.WORSE, f"switched off: {', '.join(off)}", advice)
    if not missing and not off:
        yield Finding("schedules", Verdict.FINE, f"all {len(kept)} are there")


def program(name: str, *version: str, advice: str, is_needed: bool = False) -> Finding:
    """Whether a program is there, and what it calls its version. Asked with no stdin and for a bounded time."""
    if shutil.which(name) is None:
        return Finding(name, Verdict.BROKEN if is_needed else Verdict.WORSE, "not installed", advice)
    try:
        said = subprocess.run(
            [name, *version], stdin=subprocess.DEVNULL, capture_output=True, timeout=VERSION_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, Verdict.BROKEN, f"does not answer ({type(error).__name__})", advice)
    lines = (said.stdout or said.stderr).decode(errors="replace").strip().splitlines()
    return Finding(name, Verdict.FINE, lines[0][:80] if lines else "there")


def look(now: datetime) -> list[Finding]:
    """Everything, in the order of the settings. A check that cannot reach the database is a finding of its own."""
    found: list[Finding] = []
    for path in settings.DOCTOR_CHECKS:
        check: Check = import_string(path)
        try:
            found.extend(check(now))
        except (DatabaseError, InterfaceError) as error:
            name = path.rpartition(".")[2]
            text = f"the database does not answer ({type(error).__name__})"
            found.append(
                Finding(
                    name,
                    Verdict.BROKEN,
                    text,
                    "Start Postgres, or correct DATABASE_URL, then: manage.py migrate",
                )
            )
    return found
