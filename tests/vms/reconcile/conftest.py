from __future__ import annotations

import pytest

from tests.vms.control_plane import ControlPlane
from tests.world import World
from vms.models import VM


@pytest.fixture
def running(stocked: ControlPlane, world: World) -> VM:
    """Alice's, for a minute."""
    vm = stocked.until(stocked.launch(world.alice), "running")
    stocked.settle(seconds=60, step=5)
    return vm
