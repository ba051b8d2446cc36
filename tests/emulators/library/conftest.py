"""A library in a directory, and a scan of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.principal import policy
from emulators.models import LibraryScan
from emulators.services import scanning
from tests.browsing import CHROMIUM

collect_ignore = [] if CHROMIUM.exists() else ["test_admin_browser.py"]
BY = policy("test")


class Shelf:
    """The library's files, as somebody who owns the directory changes them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, *paths: str, content: bytes = b"content") -> None:
        for path in paths:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()


@pytest.fixture
def shelf(tmp_path: Path, settings, shipped) -> Shelf:
    settings.GAMES_URL = f"file://{tmp_path}/games"
    settings.GAMES_UPLOAD_DIR = str(tmp_path / "uploads")
    (tmp_path / "games").mkdir()
    return Shelf(tmp_path / "games")


def scanned(now: datetime | None = None) -> LibraryScan:
    """A whole scan, as the background does it."""
    scan, is_new = scanning.ask(by=BY, now=now or timezone.now())
    assert is_new
    assert scanning.carry_out(scan_id=scan.pk, now=timezone.now())
    scan.refresh_from_db()
    return scan
