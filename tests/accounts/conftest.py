"""What the tests of this room share."""

from __future__ import annotations

from tests.browsing import CHROMIUM

collect_ignore = [] if CHROMIUM.exists() else ["test_browser.py"]
