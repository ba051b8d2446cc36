from collections.abc import Iterator

import pytest

from .geocoding.nominatim_stand_in import NominatimStandIn


@pytest.fixture
def nominatim() -> Iterator[NominatimStandIn]:
    with NominatimStandIn() as stand_in:
        yield stand_in
