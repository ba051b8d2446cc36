"""What the tests of this room share: a moment, and the shipped rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emulators import services
from tests.browsing import CHROMIUM

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

collect_ignore = [] if CHROMIUM.exists() else ["test_admin_browser.py"]


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def shipped(db) -> None:
    """An installation as it is after its first start."""
    services.seed(NOW)
