from collections.abc import Iterator

import pytest
from hypothesis import settings

from .geocoding.nominatim_stand_in import NominatimStandIn

# A busy machine is not a fault.
settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")


@pytest.fixture
def nominatim() -> Iterator[NominatimStandIn]:
    with NominatimStandIn() as stand_in:
        yield stand_in
