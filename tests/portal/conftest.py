"""A control plane that says it is TensorDock, with a clock that is never behind the views' own."""

from __future__ import annotations

from tests.browsing import CHROMIUM
from tests.vms.api.conftest import clock, plane

__all__ = ["clock", "plane"]

collect_ignore = [] if CHROMIUM.exists() else ["test_costs_browser.py", "test_pages_browser.py"]
