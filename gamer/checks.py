"""System checks of the environment and the database: each says what is wrong, in words, and what to do about it."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from decimal import Decimal
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.checks import CheckMessage, Critical, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from gamer.env import CLOUD_VARIABLES, PROCESSES

ENVIRONMENT = "environment"  # the tag of these checks: they ask no database and take no time
SHORTEST_SECRET_KEY = 32
# Ids of organisations' own projects begin with their domain; there may be none.
PROJECT_ID = re.compile(r"([a-z0-9.-]+:)?[a-z0-9-]*\Z")
# What a header can carry and no paste adds: visible characters of ASCII.
TOKEN = re.compile(r"[!-~]*\Z")


@register(ENVIRONMENT)
def keys(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = [
        Critical(
            f"{name} is not set.",
            hint="With DATABASE_URL we are in production, where every process must be given the same keys.",
            id="gamer.E001",
        )
        for name in settings.ENV.missing
    ]
    for number, key in enumerate(settings.GAMER_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            found.append(
                Critical(
                    f"Key {number} of GAMER_KEYS is not a Fernet key.",
                    hint="Make one: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'",
                    id="gamer.E002",
                )
            )
    return found


@register(ENVIRONMENT)
def secret_key(**_: Any) -> list[CheckMessage]:
    """Whoever knows it signs in as anybody and, through the queue's signed pickles, runs code."""
    if settings.ENV.missing or len(settings.SECRET_KEY) >= SHORTEST_SECRET_KEY:
        return []
    return [
        Critical(
            f"SECRET_KEY has fewer than {SHORTEST_SECRET_KEY} characters.",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="gamer.E008",
        )
    ]


@register(ENVIRONMENT)
def urls(**_: Any) -> list[CheckMessage]:
    examples = {
        "DATABASE_URL": "postgres://user:password@host/gamer",
        "EMAIL_URL": "smtp+tls://user:password@host:587",
    }
    found: list[CheckMessage] = [
        Critical(f"{name} cannot be read.", hint=f"It looks like {examples[name]}.", id="gamer.E009")
        for name in settings.ENV.unreadable
    ]
    database = settings.ENV.database
    if database and database.get("ENGINE") != "django.db.backends.postgresql":
        found.append(
            Critical(
                "DATABASE_URL names no Postgres.",
                hint=f"It looks like {examples['DATABASE_URL']}. Postgres 15 or later is the only database.",
                id="gamer.E010",
            )
        )
    return found


@register(ENVIRONMENT)
def numbers(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name, value, low in (
        ("STOPPED_KEEP_HOURS", settings.ENV.stopped_keep_hours, 0),
        ("PORT", settings.ENV.port, 1),
        # What comes an hour late is still rolled up from samples, and hours from minutes.
        ("METRICS_SAMPLE_HOURS", settings.ENV.metrics_sample_hours, 3),
        ("METRICS_MINUTE_DAYS", settings.ENV.metrics_minute_days, 1),
        ("METRICS_HOUR_DAYS", settings.ENV.metrics_hour_days, 1),
        ("GAMES_UPLOAD_MAX_GB", settings.ENV.games_upload_max_gb, 1),
        ("SAVES_KEPT_VERSIONS", settings.ENV.saves_kept_versions, 1),
        ("SAVES_KEPT_DAYS", settings.ENV.saves_kept_days, 0),
        # One archive of the largest kind must fit.
        ("SAVES_MIB_PER_PLAYER", settings.ENV.saves_mib_per_player, 64),
    ):
        if not value.isdigit() or not low <= int(value) < 100_000:
            found.append(
                Error(
                    f"{name} is {value[:20]!r}; it must be a whole number of at least {low}, and below 100,000.",
                    id="gamer.E003",
                )
            )
    try:
        if not 0 <= Decimal(settings.ENV.signup_credit_usd) < 1_000_000:
            raise ValueError
    except (ValueError, ArithmeticError):
        found.append(
            Error(
                f"SIGNUP_CREDIT_USD is {settings.ENV.signup_credit_usd!r}; it must be an amount like 5.",
                id="gamer.E003",
            )
        )
    return found


@register(ENVIRONMENT)
def time_zone(**_: Any) -> list[CheckMessage]:
    """Whose midnight a day of money ends at."""
    name = settings.ENV.billing_time_zone
    if name in available_timezones():
        return []
    return [
        Critical(
            f"BILLING_TIME_ZONE is {name!r}; it must be a zone like UTC or Europe/Berlin.", id="gamer.E023"
        )
    ]


@register(ENVIRONMENT)
def addresses(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    named = [("PUBLIC_URL", settings.PUBLIC_URL), ("TENSORDOCK_API_URL", settings.ENV.tensordock_api_url)]
    named += [("CORS_ALLOWED_ORIGINS", origin) for origin in settings.CORS_ALLOWED_ORIGINS]
    for name, value in named:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            found.append(
                Error(f"{name} is {value!r}; it must start with https:// and name a host.", id="gamer.E004")
            )
    if settings.ENV.process not in PROCESSES:
        found.append(
            Error(
                f"GAMER_PROCESS is {settings.ENV.process!r}; it must be one of {', '.join(PROCESSES)}.",
                id="gamer.E005",
            )
        )
    return found


@register(ENVIRONMENT)
def networks(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for text in settings.METRICS_ALLOWED_NETWORKS:
        try:
            ip_network(text)
        except ValueError:
            found.append(
                Error(
                    f"METRICS_ALLOWED_NETWORKS names {text!r}; it must be a network like 10.1.0.0/16.",
                    id="gamer.E020",
                )
            )
    return found


@register(ENVIRONMENT)
def credentials(**_: Any) -> list[CheckMessage]:
    env = settings.ENV
    found: list[CheckMessage] = []
    if not TOKEN.match(env.tensordock_api_token):
        found.append(
            Error(
                "TENSORDOCK_API_TOKEN holds a space, a line's end or a letter that no token has.",
                hint="Copy it again, without what stands around it.",
                id="gamer.E024",
            )
        )
    if env.gcp_billing_account and not env.gcp_project_id:
        found.append(
            Warning("GCP_BILLING_ACCOUNT is set without GCP_PROJECT_ID; it has no effect.", id="gamer.W001")
        )
    if not PROJECT_ID.match(env.gcp_project_id):
        found.append(
            Error(
                f"GCP_PROJECT_ID is {env.gcp_project_id!r}; a project's id looks like my-project-123.",
                id="gamer.E016",
            )
        )
    if env.cloudypad_home and not env.cloudypad_bin:
        found.append(
            Warning("CLOUDYPAD_HOME is set without CLOUDYPAD_BIN; it has no effect.", id="gamer.W002")
        )
    # Google's project alone is one to ask the Location Finder for.
    idle = [kind for kind in env.clouds if kind != "cloudypad_gcp"]
    if idle and not env.cloudypad_bin:
        names = ", ".join(next(iter(CLOUD_VARIABLES[kind].values())) for kind in idle)
        found.append(
            Warning(
                f"{names} is set without CLOUDYPAD_BIN; no machines are ordered there.",
                hint="CLOUDYPAD_BIN names CloudyPad's command line, arguments allowed, as in: node /opt/cloudypad/dist/src/cli/main.js",
                id="gamer.W004",
            )
        )
    if env.cloudypad_bin:
        found += _cloudypad(env.cloudypad_bin)
    if env.gcs_bucket_name and "/" in env.gcs_bucket_name:
        found.append(
            Error("GCS_BUCKET_NAME is a bucket's bare name, without gs:// or a path.", id="gamer.E006")
        )
    if env.is_production and env.demo_api_key:
        found.append(Warning("DEMO_API_KEY has no effect in production.", id="gamer.W003"))
    return found


def _cloudypad(command: str) -> list[CheckMessage]:
    try:
        program = (shlex.split(command) or [""])[0]
    except ValueError as error:
        return [Error(f"CLOUDYPAD_BIN is {command!r}; it cannot be read: {error}.", id="gamer.E011")]
    if shutil.which(program) is None:
        return [Error(f"CLOUDYPAD_BIN is {command!r}; there is no program {program!r}.", id="gamer.E011")]
    return []


@register(ENVIRONMENT, deploy=True)
def public_url(**_: Any) -> list[CheckMessage]:
    if settings.PUBLIC_URL.startswith("https://"):
        return []
    return [
        Error(
            "PUBLIC_URL is not an https:// address.",
            hint="Cookies, redirects and the machines' way back to us depend on it.",
            id="gamer.E007",
        )
    ]


@register(ENVIRONMENT, deploy=True)
def mail(**_: Any) -> list[CheckMessage]:
    if settings.EMAIL_CONFIG.get("EMAIL_BACKEND") != "django.core.mail.backends.console.EmailBackend":
        return []
    return [
        Warning(
            "EMAIL_URL is not set: mails with a way to a new password are only printed by the worker.",
            hint="It looks like smtp+tls://user:password@host:587.",
            id="gamer.W008",
        )
    ]


@register(ENVIRONMENT, deploy=True)
def admin_password(**_: Any) -> list[CheckMessage]:
    """The first administrator may do everything, and everybody knows the address."""
    if not settings.ENV.admin_password:
        return []
    try:
        validate_password(settings.ENV.admin_password)
    except ValidationError as error:
        return [Warning(f"ADMIN_PASSWORD is weak. {' '.join(error.messages)}", id="gamer.W009")]
    return []


@register(Tags.database)
def history(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Migrations that were joined are gone: Django cannot go on from between them, and would say so in words about models."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        loader = MigrationLoader(connections[alias], load=False)
        loader.load_disk()
        applied = MigrationRecorder(connections[alias]).applied_migrations()
        for (app, name), migration in loader.disk_migrations.items():
            gone = sorted(set(migration.replaces) - {*applied, *loader.disk_migrations})
            if gone and not applied.keys().isdisjoint(migration.replaces):
                file = f"{migration.__module__.rpartition('.')[0].replace('.', '/')}/{gone[-1][1]}.py"
                found.append(
                    Error(
                        f"The database lacks {', '.join('.'.join(one) for one in gone)}, joined into {app}.{name} since.",
                        hint=f"Run manage.py migrate with the version before the one that `git log -1 -- {file}` names.",
                        id="gamer.E025",
                    )
                )
    return found


def demand() -> None:
    """What a server runs before its first request, because servers do not run the checks. Raises ImproperlyConfigured."""
    critical: Sequence[CheckMessage] = [
        message for message in run_checks(tags=[ENVIRONMENT]) if message.level >= 40
    ]
    if critical:
        raise ImproperlyConfigured(
            "\n".join(f"{message.msg} {message.hint or ''}".strip() for message in critical)
        )
