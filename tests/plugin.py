"""What every test run stands on: a Postgres of its own, keys of its own, no credentials, no way off this machine."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gamer import heap

LONGEST_S = 300
PROVIDER_CREDENTIALS = (
    "TENSORDOCK_API_TOKEN",
    "TENSORDOCK_API_URL",
    "GCP_PROJECT_ID",
    "GCP_BILLING_ACCOUNT",
    *(
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_SUBSCRIPTION_ID",
        "AZURE_TENANT_ID",
    ),
    *("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "PAPERSPACE_API_KEY", "SCW_SECRET_KEY", "SCW_ACCESS_KEY"),
    "SCW_DEFAULT_PROJECT_ID",
    "GCS_BUCKET_NAME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "SAVES_GOOGLE_CREDENTIALS",
    "PAPERSPACE_API_KEY",
)


def refuse_the_world(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: a socket may reach unix paths and loopback, nothing else."""
    if event != "socket.connect":
        return
    address = args[1]
    if not isinstance(address, tuple):
        return
    host = str(address[0])
    if not (host.startswith("127.") or host in ("::1", "localhost", "0.0.0.0", "::")):
        raise ConnectionRefusedError(f"tests reach loopback only, not {host}")


def prepare_environment() -> None:
    for name in PROVIDER_CREDENTIALS:
        os.environ.pop(name, None)
    os.environ.update(
        SECRET_KEY="tests-only-" + "k" * 50,
        GAMER_KEYS=Fernet.generate_key().decode()
        if "GAMER_TEST_KEYS" not in os.environ
        else os.environ["GAMER_TEST_KEYS"],
    )
    os.environ["GAMER_TEST_KEYS"] = os.environ["GAMER_KEYS"]
    os.environ.setdefault("PUBLIC_URL", "")
    os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")


class OwnPostgres:
    """One throw-away cluster per run, shared by all workers of the run."""

    def __init__(self) -> None:
        from gamer.dev.embedded import Cluster

        base = "/var/tmp" if os.geteuid() else "/var/lib"
        self.home = Path(tempfile.mkdtemp(prefix="gamer-test-", dir=base))
        cluster = Cluster(self.home)
        flags = [
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "max_connections=200",
        ]
        self.server = cluster.start(extra=flags)
        self.url = cluster.url("postgres")

    def pytest_unconfigure(self) -> None:
        from gamer.dev.embedded import stop

        stop(self.server)
        shutil.rmtree(self.home, ignore_errors=True)


# What migrations put there and tests leave alone. Django would make these rows anew after every test with threads or processes, by some
# 150 statements.
KEPT_TABLES = frozenset(("django_content_type", "auth_permission"))


def sql_flush(
    operations: Any, style: Any, tables: Any, *, reset_sequences: bool = False, allow_cascade: bool = False
) -> list[str]:
    """What empties the tables that hold rows. Django truncates all, for most of a second after every test with threads or processes.

    Laws that forbid a delete look away meanwhile, as they do at a TRUNCATE; so does the order of foreign keys.
    """
    emptied = [name for name in tables if name not in KEPT_TABLES]
    if not emptied:
        return []
    asks = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in emptied)
    with operations.connection.cursor() as cursor:
        cursor.execute(asks)
        full = [name for (name,) in cursor.fetchall()]
    return ["SET LOCAL session_replication_role = replica", *(f'DELETE FROM "{name}"' for name in full)]


def pytest_configure(config: Any) -> None:
    from django.conf import settings
    from django.core.management.commands import flush
    from django.db.backends.postgresql.operations import DatabaseOperations

    settings.REFUSE_UNLISTED_EVENTS = True
    DatabaseOperations.sql_flush = sql_flush
    flush.emit_post_migrate_signal = lambda *_: None
    if _own_postgres is not None:
        config.pluginmanager.register(_own_postgres, "own-postgres")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Tests and what they load stay to the end: walking through them time and again was a fifth of a worker's start."""
    with heap.loading():
        return (yield)


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Has every worker begin with some of the longest tests, those that may take five minutes: at the end, one would go on alone."""
    workers = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    marks = [(item, item.get_closest_marker("timeout")) for item in items]
    longest = [item for item, mark in marks if mark is not None and mark.args[0] >= LONGEST_S]
    items[:] = [item for item in items if item not in longest]
    for number, item in enumerate(longest):
        # Each worker is given as many tests of the list in a row as the next.
        items.insert((len(items) + 1) * (number % workers) // workers + 2, item)


prepare_environment()
_own_postgres: OwnPostgres | None = None
if "GAMER_TEST_DATABASE_URL" not in os.environ and "--help" not in sys.argv:
    _own_postgres = OwnPostgres()
    os.environ["GAMER_TEST_DATABASE_URL"] = _own_postgres.url
    os.environ["GAMER_TEST_SAVES"] = str(_own_postgres.home / "saves")
os.environ["DATABASE_URL"] = os.environ["GAMER_TEST_DATABASE_URL"]
os.environ["SAVES_URL"] = (
    f"file://{os.environ.setdefault('GAMER_TEST_SAVES', tempfile.gettempdir() + '/gamer-test-saves')}"
)
sys.addaudithook(refuse_the_world)
