"""Fixtures for a module that asks much about one scene: import both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.utils import timezone

from tests import world as worlds
from tests.permissions import scene as scenes
from tests.permissions.scene import Scene
from tests.vms.control_plane import prepare
from tests.world import Clock


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: pytest.DjangoDbBlocker) -> Iterator[None]:
    """One transaction around a whole module: every question is rolled back to it, and it at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def scene(db: None) -> Scene:
    """Built once, because nobody changes it."""
    return scenes.build(worlds.build(), prepare(Clock(timezone.now())))
