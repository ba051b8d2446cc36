from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vms.setup.agent.running import PublicUrl
from tests.vms.setup.sshd import SSHD, Machine, started

# Needs an OpenSSH server; the guests of the sandbox are their own.
NEED_SSHD = [
    "test_ssh.py",
    "test_set_up.py",
    "test_first_use.py",
    "test_cloudypad.py",
    "test_saving.py",
    "test_agent_link.py",
]
collect_ignore = [] if SSHD else NEED_SSHD
if not (SSHD and shutil.which("rclone")):
    collect_ignore.append("test_mounting.py")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine is busy one look still comes to the end, and nobody hangs up. Tests of giving up say when."""
    for name, seconds in {"LOOK_S": 60, "CONNECT_S": 30, "AGENT_START_S": 15}.items():
        monkeypatch.setattr(f"vms.setup.machine.{name}", seconds)
    monkeypatch.setattr("vms.setup.ssh.CUT_S", 60)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A fresh machine that answers SSH (up in some 10 ms)."""
    with started(Machine(tmp_path)) as running:
        yield running


@pytest.fixture
def public_url() -> Iterator[PublicUrl]:
    server = PublicUrl()
    yield server
    server.close()
