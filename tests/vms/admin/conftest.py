"""What the tests of staff's pages share: a control plane that runs at the real time, as the pages do, and who looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from tests.browsing import CHROMIUM
from tests.factories import UserFactory
from tests.vms.control_plane import ControlPlane, prepare
from tests.world import Clock, World, client_for

collect_ignore = [] if CHROMIUM.exists() else ["test_browser.py"]


@pytest.fixture
def plane(db: None) -> ControlPlane:
    return prepare(Clock(timezone.now()))


@pytest.fixture
def staff(world: World) -> Callable[..., Client]:
    """Makes somebody of the staff who may do only what is named, as `view_vm`."""

    def made(*names: str) -> Client:
        user = UserFactory(handle=f"staff-{len(names)}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return client_for(user)

    return made
