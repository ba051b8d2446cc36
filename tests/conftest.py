"""Fixtures for everybody: a database, the world's people, their API clients, a clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest
from django.db import connection
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from gamer import urls  # noqa: F401  the admin's pages are registered in the order of the apps, whichever a test imports first
from tests import browsing
from tests import world as worlds
from tests.world import Clock, World, client_for, client_of, client_with_key

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A busy machine is not a fault. Here, because a test keeps what holds when it is loaded.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")


@pytest.fixture(autouse=True, scope="session")
def _quick_hashes() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["tests.factories.QuickArgon2"]):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
    django_db_blocker: DjangoDbBlocker,
    worker_id: str,
    testrun_uid: str,
) -> Iterator[None]:
    """Of several workers the first goes through the migrations; the others copy its database, as it does."""
    if worker_id == "master":
        yield
        return
    template, ours = f"test_{testrun_uid}", connection.settings_dict
    with psycopg.connect(os.environ["GAMER_TEST_DATABASE_URL"], autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(1)")
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [template]).rowcount:
            with django_db_blocker.unblock():
                _migrate_into("test_migrating")
            server.execute(f"ALTER DATABASE test_migrating RENAME TO {template}")
    ours["TEST"]["TEMPLATE"] = template
    yield
    with psycopg.connect(os.environ["GAMER_TEST_DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {template}")


def _migrate_into(database: str) -> None:
    ours = connection.settings_dict
    kept, test = ours["NAME"], ours["TEST"]
    name, test["NAME"] = test["NAME"], database
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    ours["NAME"], test["NAME"] = kept, name


@pytest.fixture(scope="session")
def chromium() -> Iterator[browsing.Chromium]:
    """Each worker's own, from the first test that wants one."""
    with browsing.started() as chromium:
        yield chromium


@pytest.fixture
def browser(
    transactional_db: None, chromium: browsing.Chromium, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """A browser that remembers nothing of tests before."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # an event loop runs beside what a test asks
    with chromium.lent() as browser:
        yield browser


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


@pytest.fixture
def sam(world: World) -> Client:
    """An administrator in a browser."""
    return client_for(world.sam)
