"""Fixtures for everybody: the world's people, their API clients, a clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from tests import world as worlds
from tests.world import Clock, World, client_of, client_with_key


@pytest.fixture(autouse=True, scope="session")
def _quick_hashes() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["tests.factories.QuickArgon2"]):
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(db: None) -> World:
    return worlds.build()


@pytest.fixture
def anyone() -> APIClient:
    """A client without credentials."""
    return APIClient()


@pytest.fixture
def as_alice(world: World) -> APIClient:
    return client_of(world.alice)


@pytest.fixture
def as_bob(world: World) -> APIClient:
    return client_of(world.bob)


@pytest.fixture
def as_charlie(world: World) -> APIClient:
    return client_of(world.charlie)


@pytest.fixture
def as_mona(world: World) -> APIClient:
    """The owner of alice's department."""
    return client_of(world.mona)


@pytest.fixture
def as_oscar(world: World) -> APIClient:
    """The owner of another department."""
    return client_of(world.oscar)


@pytest.fixture
def as_sam(world: World) -> APIClient:
    return client_of(world.sam)


@pytest.fixture
def as_service(world: World) -> APIClient:
    """The key of alice's department: read, launch, act_as."""
    return client_with_key(world.secret_of(world.service_key))


@pytest.fixture
def as_admin_key(world: World) -> APIClient:
    """The staff's key with every scope and no department."""
    return client_with_key(world.secret_of(world.admin_key))


@pytest.fixture
def as_reader(world: World) -> APIClient:
    """The staff's key that may only read."""
    return client_with_key(world.secret_of(world.reader_key))
