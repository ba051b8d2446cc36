"""Customers and passes over the hours, started as processes of their own, and what is done about those that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime

from billing.models import CreditAccount, Hold, Subject
from billing.services import holds, metering
from gamer.env import ROOT
from tests.gamer.queue.cluster import own_url


def start(
    role: str, account: CreditAccount, count: int, *seeds: int, **extra: str
) -> subprocess.Popen[bytes]:
    """A process for each seed; of several, those are the children of the one that is answered."""
    arguments = [role, *map(str, (account.pk, count, *seeds))]
    environment = {
        **os.environ,
        "DATABASE_URL": own_url(),
        "DJANGO_SETTINGS_MODULE": "gamer.settings",
        "GAMER_PROCESS": "command",
        **extra,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.billing.customers", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE,
    )  # fmt: skip


def results(processes: list[subprocess.Popen[bytes]], timeout_s: float = 200) -> list[int]:
    """What each said at its end, for each seed; -1 for those that were killed."""
    said = [process.communicate(timeout=timeout_s)[0].split() or [b"-1"] for process in processes]
    return [int(line) for lines in said for line in lines]


def clear_up(account: CreditAccount, now: datetime) -> None:
    """What the killed left: their machines end, as the next look would find."""
    for subject in Subject.objects.filter(ended_at=None):
        metering.follow(key=subject.key, state=None, now=now, describe=_known)
    for hold in Hold.objects.filter(account=account):
        holds.release(hold.vm)


def _known() -> metering.Machine:
    raise AssertionError("a machine that is metered is known")
