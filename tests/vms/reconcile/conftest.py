from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from accounts.models import User
from tests.kept import kept
from tests.vms.control_plane import ControlPlane, prepare, resume
from tests.vms.setup.sshd import SSHD
from tests.world import Clock, World
from vms.models import VM

# Machines of theirs answer SSH.
collect_ignore = [] if SSHD else ["test_play.py", "test_watch.py"]


@kept
def _played(now: datetime) -> tuple[dict[str, Any], float]:
    """Returns what its cloud is like, and the seconds it has taken."""
    plane = prepare(Clock(now))
    plane.turn()
    plane.turn()
    plane.until(plane.launch(User.objects.get(handle="alice@gamer.test")), "running")
    plane.settle(seconds=60, step=5)
    return plane.cloud_state(), (plane.now() - now).total_seconds()


@pytest.fixture
def lived(world: World, clock: Clock) -> ControlPlane:
    """Alice has played in it for a minute, and does."""
    cloud, seconds = _played(clock())
    return resume(clock, cloud, seconds=seconds)


@pytest.fixture
def running(lived: ControlPlane) -> VM:
    """Alice's, for a minute."""
    return VM.objects.get()
