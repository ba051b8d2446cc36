"""The same people in every test: alice, bob of her department, charlie outside, sam of the staff, and services' keys.

The department, Arcade, is mona's; another one, Palace, is oscar's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import logins
from accounts.models import ApiKey, Department, DepartmentRole, Project, Scope, User
from tests.factories import PASSWORD, ApiKeyFactory, DepartmentFactory, ProjectFactory, UserFactory
from tests.kept import kept

__all__ = ["NOON", "PASSWORD", "Clock", "World", "build", "client_of", "client_with_key"]

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """The time that tests pass in. It stands still until told."""

    now: datetime = NOON

    def advance(self, **delta: float) -> datetime:
        """Moves on by `seconds=…`, `minutes=…` and so on; the new time."""
        self.now += timedelta(**delta)
        return self.now

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class World:
    """Who there is. `secrets` holds the text of each key."""

    arcade: Department
    alice: User
    bob: User
    charlie: User
    sam: User
    service_key: ApiKey  # of alice's department: read, launch, act_as
    admin_key: ApiKey  # of the staff: every scope, no department
    reader_key: ApiKey  # of the staff: read only, no department
    secrets: dict[int, str]
    mona: User  # owns Arcade
    palace: Department
    oscar: User  # owns Palace
    tournament: Project  # Arcade's, made by mona: all its people launch in it
    jam: Project  # Palace's, made by oscar

    def secret_of(self, key: ApiKey) -> str:
        return self.secrets[key.pk]


def build() -> World:
    return _build(NOON)


@kept
def _build(_: datetime) -> World:
    arcade = DepartmentFactory(name="Arcade")
    sam = UserFactory(email="sam@gamer.test", first_name="Sam", is_staff=True, is_superuser=True)
    keys = {
        "service_key": ApiKeyFactory(
            name="Arcade's site",
            maker=sam,
            department=arcade,
            scopes=[Scope.READ, Scope.LAUNCH, Scope.ACT_AS],
        ),
        "admin_key": ApiKeyFactory(name="Operations", maker=sam, scopes=list(Scope)),
        "reader_key": ApiKeyFactory(name="Dashboard", maker=sam, scopes=[Scope.READ]),
    }
    palace = DepartmentFactory(name="Palace")
    alice = UserFactory(email="alice@gamer.test", first_name="Alice", department=arcade)
    bob = UserFactory(email="bob@gamer.test", first_name="Bob", department=arcade)
    charlie = UserFactory(email="charlie@gamer.test", first_name="Charlie")
    owning = DepartmentRole.OWNER
    mona = UserFactory(email="mona@gamer.test", first_name="Mona", department=arcade, department_role=owning)
    oscar = UserFactory(
        email="oscar@gamer.test", first_name="Oscar", department=palace, department_role=owning
    )
    return World(
        arcade=arcade,
        alice=alice,
        bob=bob,
        charlie=charlie,
        sam=sam,
        mona=mona,
        palace=palace,
        oscar=oscar,
        tournament=ProjectFactory(name="Tournament", owner=mona, department=arcade),
        jam=ProjectFactory(name="Jam", owner=oscar, department=palace),
        secrets={key.pk: key.secret for key in keys.values()},
        **keys,
    )


def client_for(user: User) -> Client:
    """Somebody logged in on the pages."""
    client = Client()
    client.force_login(user)
    return client


def client_of(user: User, **options: Any) -> APIClient:
    """A client that sends a person's access token."""
    client = APIClient(**options)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {logins.begin(user=user, now=timezone.now()).access}")
    return client


def client_with_key(secret: str, **options: Any) -> APIClient:
    """A client that sends a service's key."""
    client = APIClient(**options)
    client.credentials(HTTP_X_API_KEY=secret)
    return client
