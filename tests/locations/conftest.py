from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from locations.geocoding.gazetteer import Gazetteer

from .finder_stand_in import PROJECT, FinderStandIn
from .geocoding.nominatim_stand_in import NominatimStandIn


@pytest.fixture(scope="session")
def gazetteer() -> Gazetteer:
    return Gazetteer(settings.GAZETTEER_DIR)


@pytest.fixture
def nominatim() -> Iterator[NominatimStandIn]:
    with NominatimStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def location_finder(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FinderStandIn]:
    """The Location Finder, with a project and credentials for it."""
    with FinderStandIn() as stand_in:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(stand_in.credentials(tmp_path)))
        settings.ENV = replace(settings.ENV, gcp_project_id=PROJECT)
        settings.LOCATION_FINDER_URL = stand_in.url
        yield stand_in
