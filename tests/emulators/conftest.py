"""What the tests of this room share: a moment, and the shipped rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from emulators import services
from emulators.recipes import CLOCK_LIBRARY
from tests.browsing import CHROMIUM
from tests.kept import kept

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

# Debian's library of fake time, where it is installed.
CLOCK = next(Path("/usr/lib").glob(f"*/faketime/{CLOCK_LIBRARY}"), None)

collect_ignore = [] if CHROMIUM.exists() else ["test_admin_browser.py"]
if CLOCK is None:
    collect_ignore.append("test_clock.py")


@pytest.fixture
def now() -> datetime:
    return NOW


_shipped = kept(services.seed)


@pytest.fixture
def shipped(db) -> None:
    """An installation as it is after its first start."""
    _shipped(NOW)
