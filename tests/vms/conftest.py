from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings

from sandbox.testing import SandboxServer
from tests.vms import six_kinds
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import Clock


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    return prepare(clock)


@pytest.fixture
def stocked(plane: ControlPlane) -> ControlPlane:
    """Offers are known already."""
    plane.turn()
    plane.turn()
    return plane


@pytest.fixture(scope="session")
def tensordock() -> Iterator[SandboxServer]:
    """A sandbox that only sells: nobody boots there."""
    with SandboxServer(seed="six kinds") as running:
        yield running


@pytest.fixture
def six(db: None, settings: LazySettings, tmp_path: Path, tensordock: SandboxServer) -> None:
    """Accounts of all six kinds, with everything they sell."""
    six_kinds.open_all(settings, tmp_path, tensordock)
