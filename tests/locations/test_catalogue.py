"""What we ship is on the map, where a person would look for it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from locations import distance, regions
from locations.catalogue import CLOUDS, GCP, shipped
from locations.models import Region

# Published by other sources than ours: `az account list-locations`, and the seats of the data centres named by the vendors.
WHERE = {
    ("gcp", "us-central1"): (41.26, -95.86),
    ("gcp", "us-south1"): (32.78, -96.80),
    ("gcp", "europe-west1"): (50.47, 3.87),
    ("gcp", "europe-west4"): (53.44, 6.84),
    ("gcp", "asia-east1"): (24.05, 120.52),
    ("gcp", "africa-south1"): (-26.20, 28.05),
    ("gcp", "southamerica-west1"): (-33.45, -70.67),
    ("gcp", "australia-southeast2"): (-37.81, 144.96),
    ("azure", "westus2"): (47.233, -119.852),
    ("azure", "eastus2"): (36.6681, -78.3889),
    ("azure", "swedencentral"): (60.67488, 17.14127),
    ("azure", "uaenorth"): (25.266666, 55.316666),
    ("azure", "centralindia"): (18.5822, 73.9197),
    ("aws", "us-west-2"): (45.84, -119.70),
    ("aws", "us-east-1"): (39.04, -77.49),
    ("aws", "af-south-1"): (-33.93, 18.42),
    ("scaleway", "pl-waw"): (52.23, 21.01),
}


class TestShipped:
    def test_has_every_cloud_and_each_region_once(self):
        counted = Counter((seed.kind, seed.code) for seed in shipped())
        assert set(counted.values()) == {1}
        assert {kind for kind, _ in counted} == set(CLOUDS.values())

    def test_has_all_public_regions_of_google_cloud(self):
        codes = [seed.code for seed in shipped() if seed.kind == GCP]
        assert len(codes) == 43
        assert all(re.fullmatch(r"[a-z]+-[a-z]+\d+", code) for code in codes)

    def test_has_gpus_in_every_region_of_the_other_clouds(self):
        assert [seed.code for seed in shipped() if seed.kind != GCP and not seed.gpu_models] == []

    def test_has_gpus_of_google_cloud_on_six_continents_but_africa(self):
        continents = {
            regions.placed(Region(country=seed.country, city=seed.city, state=seed.state)).continent
            for seed in shipped()
            if seed.kind == GCP and seed.gpu_models
        }
        assert continents == {"Asia", "Europe", "North America", "Oceania", "South America"}

    @pytest.mark.parametrize("seed", list(shipped()), ids=lambda seed: f"{seed.kind}-{seed.code}")
    def test_is_placed_in_its_town(self, gazetteer, seed):
        region = regions.placed(
            Region(
                city=seed.city,
                state=seed.state,
                country=seed.country,
                latitude=seed.latitude,
                longitude=seed.longitude,
            )
        )
        assert re.fullmatch("[A-Z]{2}", region.country_code)
        assert region.continent
        near = distance.closest(region.latitude, region.longitude, gazetteer._latitude, gazetteer._longitude)
        assert gazetteer.place(near[0]).country_code == region.country_code
        known = WHERE.get((seed.kind.removeprefix("cloudypad_"), seed.code))
        if known is not None:
            assert distance.distance_km(known, (region.latitude, region.longitude)) < 25

    @pytest.mark.parametrize("seed", list(shipped()), ids=lambda seed: f"{seed.kind}-{seed.code}")
    def test_names_a_town_the_gazetteer_knows_or_where_it_is(self, seed):
        found = regions.services.place_of(city=seed.city, state=seed.state, country=seed.country)
        assert found.matched == "city" or seed.latitude is not None
