from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Where the tests' tasks leave their lines."""
    path = tmp_path / "book"
    path.touch()
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"
