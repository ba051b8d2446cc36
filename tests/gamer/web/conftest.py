from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.gamer.web.site"
