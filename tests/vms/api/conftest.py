from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from tests.kept import kept
from tests.vms.control_plane import ControlPlane, prepare, resume
from tests.world import Clock, World
from vms.models import ProviderAccount

BEFORE = timedelta(seconds=2)


class RunningClock(Clock):
    """Never behind the real time, which is what views go by; moved on it is ahead."""

    def advance(self, **delta: float) -> datetime:
        self.now = self() + timedelta(**delta)
        return self.now

    def __call__(self) -> datetime:
        return max(self.now, timezone.now())


@pytest.fixture
def clock() -> Clock:
    return RunningClock(timezone.now())


@kept
def _offers_of_tensordock(now: datetime) -> dict[str, Any]:
    """Returns what the cloud is like then."""
    plane = prepare(Clock(now))
    ProviderAccount.objects.update(kind="tensordock")
    plane.turn()
    return plane.cloud_state()


def opened(clock: Clock) -> ControlPlane:
    """One account that says it is TensorDock, with offers on the shelf."""
    return resume(clock, _offers_of_tensordock(clock()), seconds=1)


@pytest.fixture
def plane(db: None, clock: Clock) -> ControlPlane:
    return opened(clock)


@kept
def _played(now: datetime) -> tuple[dict[str, Any], float]:
    """Returns what the cloud is like then, and the seconds it has taken."""
    plane = opened(Clock(now))
    plane.until(plane.launch(User.objects.get(handle="alice@gamer.test")), "running")
    return plane.cloud_state(), (plane.now() - now).total_seconds()


@pytest.fixture
def paces(settings: Any) -> None:
    """As many as ever, but by the day: none flows back while a test asks, however long that takes."""
    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    by_the_day = {name: f"{rate.partition('/')[0]}/day" for name, rate in rates.items()}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": by_the_day}


@pytest.fixture
def played(world: World, clock: Clock) -> ControlPlane:
    """`plane` in which alice plays: the one VM there is, as after `asking.running`."""
    cloud, seconds = _played(clock() - BEFORE)  # the launch itself is never in the real time's future
    return resume(clock, cloud, seconds=seconds - BEFORE.total_seconds())
