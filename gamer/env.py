"""The environment, read once. Every variable of contract.md is named here; `checks.py` says what is wrong with them.

Without DATABASE_URL we are in development: the embedded Postgres, and keys kept in `.gamer/keys.json`, made on the
first start. With it we are in production, where every key must be given; except under `make run`, which is development
on whatever database and says so by GAMER_DEVELOPMENT.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from stores import addresses

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = Path(os.environ.get("GAMER_STATE_DIR", ROOT / ".gamer"))
IS_SUPERVISED = "GAMER_DEVELOPMENT" in os.environ
# What each cloud's account is opened with, by the variables that its own tools read. The first of each is what names an account.
CLOUD_VARIABLES = {
    "cloudypad_gcp": {"project_id": "GCP_PROJECT_ID"},
    "cloudypad_aws": {
        "access_key_id": "AWS_ACCESS_KEY_ID",
        "secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "session_token": "AWS_SESSION_TOKEN",
    },
    "cloudypad_azure": {
        "subscription_id": "AZURE_SUBSCRIPTION_ID",
        "tenant_id": "AZURE_TENANT_ID",
        "client_id": "AZURE_CLIENT_ID",
        "client_secret": "AZURE_CLIENT_SECRET",
    },
    "cloudypad_paperspace": {"api_key": "PAPERSPACE_API_KEY"},
    "cloudypad_scaleway": {
        "secret_key": "SCW_SECRET_KEY",
        "access_key": "SCW_ACCESS_KEY",
        "project_id": "SCW_DEFAULT_PROJECT_ID",
    },
}
PROCESSES = ("api", "streams", "worker", "reconciler", "command")


@dataclass(frozen=True)
class Environment:
    """What the operator told us. `is_production` is having an own database outside `make run`."""

    is_production: bool
    database: dict[str, Any]
    secret_key: str
    gamer_keys: list[str]
    process: str
    public_url: str
    allowed_hosts: list[str]
    cors_allowed_origins: list[str]
    metrics_allowed_networks: list[str]
    email: dict[str, Any]
    tensordock_api_token: str
    tensordock_api_url: str
    gcp_project_id: str
    gcp_billing_account: str
    gcs_bucket_name: str
    games_url: str
    games_google_credentials: str
    games_upload_url: str
    games_upload_google_credentials: str
    games_upload_dir: str
    games_upload_max_gb: str
    saves_url: str
    saves_google_credentials: str
    saves_kept_versions: str
    saves_kept_days: str
    saves_mib_per_player: str
    cloudypad_bin: str
    cloudypad_home: str
    clouds: dict[str, dict[str, str]]
    stopped_keep_hours: str
    metrics_sample_hours: str
    metrics_minute_days: str
    metrics_hour_days: str
    signup_credit_usd: str
    billing_time_zone: str
    admin_password: str
    demo_api_key: str
    port: str
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def kept_keys() -> dict[str, str]:
    """Development keys, made on first use and readable by the owner only."""
    path = STATE_DIR / "keys.json"
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        pass
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    keys = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "GAMER_KEYS": Fernet.generate_key().decode(),
        "ADMIN_PASSWORD": secrets.token_urlsafe(12),
        "DEMO_API_KEY": f"gk_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}",
    }
    handle, name = tempfile.mkstemp(dir=STATE_DIR, prefix="keys.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(keys, file)
        os.link(draft, path)  # atomic, and loses to whoever came first
    except FileExistsError:
        return dict(json.loads(path.read_text()))
    finally:
        draft.unlink()
    return keys


def read() -> Environment:
    """Reads the process environment; raises nothing: what is missing or unreadable is listed for the system checks."""
    env = environ.Env()
    has_own_database = bool(os.environ.get("DATABASE_URL"))
    unreadable: list[str] = []
    is_production = has_own_database and not IS_SUPERVISED
    keys: dict[str, str] = {} if is_production else kept_keys()
    missing = [
        name for name in ("SECRET_KEY", "GAMER_KEYS") if is_production and not env.str(name, "").strip(", ")
    ]

    def key(name: str, stand_in: str) -> str:
        # A stand-in of this process alone: nothing it signs or seals is understood elsewhere, and the checks stop us first.
        given = str(env.str(name, ""))
        return given if given.strip(", ") else keys.get(name, stand_in)

    def address(name: str, parse: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return parse()
        except (ImproperlyConfigured, ValueError):
            unreadable.append(name)
            return {}

    database = (
        address("DATABASE_URL", lambda: named_database(env)) if has_own_database else embedded_database()
    )
    public_url = str(env.str("PUBLIC_URL", "")).rstrip("/")
    host = host_of(public_url)
    bucket = str(env.str("GCS_BUCKET_NAME", ""))
    return Environment(
        is_production=is_production,
        database=database,
        secret_key=key("SECRET_KEY", secrets.token_urlsafe(50)),
        gamer_keys=[part for part in key("GAMER_KEYS", Fernet.generate_key().decode()).split(",") if part],
        process=str(env.str("GAMER_PROCESS", "command")),
        public_url=public_url,
        allowed_hosts=env.list("ALLOWED_HOSTS", default=[host] if host else [])
        or ([] if is_production else ["*"]),
        metrics_allowed_networks=env.list("METRICS_ALLOWED_NETWORKS", default=[]),
        cors_allowed_origins=env.list("CORS_ALLOWED_ORIGINS", default=[]),
        email=address("EMAIL_URL", lambda: dict(env.email_url("EMAIL_URL", default="consolemail://"))),
        tensordock_api_token=str(env.str("TENSORDOCK_API_TOKEN", "")),
        tensordock_api_url=str(env.str("TENSORDOCK_API_URL", "https://dashboard.tensordock.com/api/v2")),
        gcp_project_id=str(env.str("GCP_PROJECT_ID", "")),
        gcp_billing_account=str(env.str("GCP_BILLING_ACCOUNT", "")),
        gcs_bucket_name=bucket,
        games_url=str(env.str("GAMES_URL", "")) or library_without_one(bucket, is_production=is_production),
        games_google_credentials=str(env.str("GAMES_GOOGLE_CREDENTIALS", "")),
        games_upload_url=str(env.str("GAMES_UPLOAD_URL", "")),
        games_upload_google_credentials=str(env.str("GAMES_UPLOAD_GOOGLE_CREDENTIALS", "")),
        games_upload_dir=str(env.str("GAMES_UPLOAD_DIR", "")),
        games_upload_max_gb=str(env.str("GAMES_UPLOAD_MAX_GB", "64")),
        saves_url=str(env.str("SAVES_URL", "")) or f"file://{STATE_DIR / 'saves'}",
        saves_google_credentials=str(env.str("SAVES_GOOGLE_CREDENTIALS", "")),
        saves_kept_versions=str(env.str("SAVES_KEPT_VERSIONS", "20")),
        saves_kept_days=str(env.str("SAVES_KEPT_DAYS", "30")),
        saves_mib_per_player=str(env.str("SAVES_MIB_PER_PLAYER", "2048")),
        cloudypad_bin=str(env.str("CLOUDYPAD_BIN", "")),
        cloudypad_home=str(env.str("CLOUDYPAD_HOME", "")),
        clouds=cloud_credentials(env),
        stopped_keep_hours=str(env.str("STOPPED_KEEP_HOURS", "48")),
        metrics_sample_hours=str(env.str("METRICS_SAMPLE_HOURS", "6")),
        metrics_minute_days=str(env.str("METRICS_MINUTE_DAYS", "7")),
        metrics_hour_days=str(env.str("METRICS_HOUR_DAYS", "400")),
        signup_credit_usd=str(env.str("SIGNUP_CREDIT_USD", "5")),
        billing_time_zone=str(env.str("BILLING_TIME_ZONE", "UTC")),
        admin_password=key("ADMIN_PASSWORD", ""),
        demo_api_key=key("DEMO_API_KEY", ""),
        port=str(env.str("PORT", "8000")),
        missing=missing,
        unreadable=unreadable,
    )


def library_without_one(bucket: str, *, is_production: bool) -> str:
    """Where games lie when GAMES_URL does not say: in the bucket, else in development in a folder of this checkout."""
    if bucket:
        return f"gs://{bucket}/games"
    return "" if is_production else f"file://{STATE_DIR / 'games'}"


def whole(text: str, stand_in: int) -> int:
    """A whole number, or what stands in for one that the checks refuse."""
    return int(text) if text.isdigit() and len(text) < 6 else stand_in


def cloud_credentials(env: environ.Env) -> dict[str, dict[str, str]]:
    """By kind of provider, what the environment gives; a kind whose first variable is not set is left out."""
    given = {
        kind: {word: value for word, name in names.items() if (value := str(env.str(name, "")))}
        for kind, names in CLOUD_VARIABLES.items()
    }
    return {kind: words for kind, words in given.items() if next(iter(CLOUD_VARIABLES[kind])) in words}


def host_of(url: str) -> str:
    """The host of an address, without its port."""
    return url.split("://")[-1].split("/")[0].split(":")[0]


def password_of(url: str) -> str:
    """The password in an address of a store, "" without one or when it cannot be read."""
    try:
        return addresses.parse(url).password
    except ValueError:
        return ""


def named_database(env: environ.Env) -> dict[str, Any]:
    """DATABASE_URL as Django's settings. A socket's directory stands in the host's place, its slashes as %2F."""
    database = env.db("DATABASE_URL")
    return {**database, "HOST": unquote(database.get("HOST") or "")}


def embedded_database() -> dict[str, Any]:
    """Django's settings for the embedded cluster: a socket of its own, no TCP."""
    from gamer.dev.embedded import Cluster

    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "gamer",
        "USER": "gamer",
        "HOST": str(Cluster.of(ROOT).socket_dir),
    }
