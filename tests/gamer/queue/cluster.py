"""A worker cluster as real processes on the test's database, watched through /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from django.db import connection

from gamer.env import ROOT
from tests.waiting import eventually

SETTINGS = "worker_settings"


def own_url() -> str:
    """The URL of the database this test runs on."""
    found = connection.settings_dict
    return f"postgres://{found['USER']}@{quote(str(found['HOST']), safe='')}/{found['NAME']}"


def environment(database_url: str | None = None, settings: str = SETTINGS) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url or own_url(),
        "DJANGO_SETTINGS_MODULE": f"tests.gamer.queue.{settings}",
        "GAMER_PROCESS": "worker",
        "PYTHONUNBUFFERED": "1",
    }


def heard(ear: psycopg.Connection[Any], channel: str) -> list[str]:
    """Which channels rang since the last time, of those that a connection listens on: `channel`, and others.

    However long they take: they come in the order of their commits, and the last one is our own.
    """
    ear.execute("SELECT pg_notify(%s, 'ours')", [channel])
    rings = takewhile(lambda ring: ring.payload != "ours", ear.notifies(timeout=30))
    return [ring.channel for ring in rings]


COMMAND = [sys.executable, "manage.py", "qworker"]


@dataclass(frozen=True)
class Seen:
    """A process as /proc shows it."""

    pid: int
    parent: int
    name: str
    state: str


def look_at(pid: int) -> Seen | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return Seen(pid, int(parent), name, state)


def is_alive(pid: int) -> bool:
    seen = look_at(pid)
    return seen is not None and seen.state != "Z"  # a zombie only waits for its parent


def below(pid: int) -> list[Seen]:
    """All living descendants."""
    everyone = [
        seen
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (seen := look_at(int(entry.name)))
    ]
    found: list[Seen] = []
    parents = {pid}
    while parents:
        children = [seen for seen in everyone if seen.parent in parents and seen.state != "Z"]
        found += children
        parents = {seen.pid for seen in children}
    return found


class WorkerCluster:
    """`manage.py qworker` and its children, by role: main, sentinel, pusher, monitor, worker."""

    def __init__(self, main: int) -> None:
        self.main = main

    def pids(self, role: str) -> list[int]:
        if role == "main":
            return [self.main]
        return [seen.pid for seen in below(self.main) if seen.name == f"q-{role}"]

    def everyone(self) -> set[int]:
        return {self.main, *(seen.pid for seen in below(self.main))}

    def is_complete(self) -> bool:
        return (
            all(self.pids(role) for role in ("sentinel", "pusher", "monitor"))
            and len(self.pids("worker")) == 2
        )


@contextmanager
def running(
    log: Path, database_url: str | None = None, *, settings: str = SETTINGS, until_complete: bool = True
) -> Iterator[tuple[WorkerCluster, subprocess.Popen[bytes]]]:
    """A cluster, with all its processes up unless told otherwise; none of them survives the context."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env=environment(database_url, settings),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    cluster = WorkerCluster(process.pid)
    try:
        if until_complete:
            eventually(lambda: cluster.is_complete() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
        yield cluster, process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
