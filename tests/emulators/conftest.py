"""What the tests of this room share: a moment, the shipped rows, somebody of the staff."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accounts.models import User
from accounts.principal import Principal
from emulators import services

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def shipped(db) -> None:
    """An installation as it is after its first start."""
    services.seed(NOW)


@pytest.fixture
def staff(db) -> Principal:
    return Principal(user=User.objects.create_superuser("sam@example.com", "a long password", handle="sam"))
