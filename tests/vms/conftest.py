from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from sandbox.testing import SandboxServer
from tests.kept import kept
from tests.vms import six_kinds
from tests.vms.control_plane import ControlPlane, prepare, resume
from tests.world import Clock


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    return prepare(clock)


@kept
def _offers(now: datetime) -> dict[str, Any]:
    """Returns what the cloud is like then."""
    plane = prepare(Clock(now))
    plane.turn()
    plane.turn()
    return plane.cloud_state()


@pytest.fixture
def stocked(db: None, clock: Clock) -> ControlPlane:
    """Offers are known already."""
    return resume(clock, _offers(clock()), seconds=2)


@pytest.fixture(scope="session")
def tensordock() -> Iterator[SandboxServer]:
    """A sandbox that only sells: nobody boots there."""
    with SandboxServer(seed="six kinds") as running:
        yield running


@pytest.fixture
def six(db: None, settings: LazySettings, tmp_path: Path, tensordock: SandboxServer) -> None:
    """Accounts of all six kinds, with everything they sell."""
    six_kinds.open_all(settings, tmp_path, tensordock)
