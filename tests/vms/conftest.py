from __future__ import annotations

import pytest

from tests.vms.control_plane import ControlPlane, prepare
from tests.world import Clock


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    return prepare(clock)
