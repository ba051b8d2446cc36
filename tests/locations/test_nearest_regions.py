"""Ten cities on six continents and the region of each cloud that a person with a map would choose: docs/nearest-regions.md.

Chosen on the map, not copied from an answer; where two regions are about equally far it says by how much.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings

from locations import regions, services
from locations.catalogue import CLOUDS, name_of, shipped

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOCUMENT = Path(settings.BASE_DIR) / "docs" / "nearest-regions.md"
CHOSEN = {
    "Dallas, Texas": ("us-south1", "us-east-2", "southcentralus", "East Coast (NY2)", "fr-par"),
    "Vancouver, Canada": ("us-west1", "us-west-2", "westus2", "West Coast (CA1)", "fr-par"),
    "São Paulo, Brazil": ("southamerica-east1", "sa-east-1", "brazilsouth", "East Coast (NY2)", "fr-par"),
    "London, United Kingdom": ("europe-west2", "eu-west-2", "uksouth", "Europe (AMS1)", "fr-par"),
    "Warsaw, Poland": ("europe-central2", "eu-north-1", "germanywestcentral", "Europe (AMS1)", "pl-waw"),
    "Lagos, Nigeria": ("europe-southwest1", "eu-south-1", "southafricanorth", "Europe (AMS1)", "fr-par"),
    "Cape Town, South Africa": ("africa-south1", "af-south-1", "southafricanorth", "Europe (AMS1)", "fr-par"),
    "Mumbai, India": ("asia-south1", "ap-south-1", "centralindia", "Europe (AMS1)", "pl-waw"),
    "Tokyo, Japan": ("asia-northeast1", "ap-northeast-1", "japaneast", "West Coast (CA1)", "pl-waw"),
    "Auckland, New Zealand": (
        *("australia-southeast1", "ap-southeast-2", "australiaeast", "West Coast (CA1)", "pl-waw"),
    ),
}


def position_of(city):
    place = services.search_places(q=city, limit=1)[0]
    return {"latitude": place.latitude, "longitude": place.longitude}


def nearest(city, cloud, limit=1):
    return regions.closest(
        cloud=cloud, limit=limit, use_location_finder=False, now=NOW, **position_of(city)
    ).regions


@pytest.mark.django_db
class TestNearestRegions:
    @pytest.fixture(autouse=True)
    def _catalogue(self):
        regions.seed_regions(regions=shipped())

    @pytest.mark.parametrize("city", CHOSEN)
    def test_are_what_a_person_with_a_map_would_choose(self, city):
        assert tuple(nearest(city, cloud)[0].region.code for cloud in CLOUDS) == CHOSEN[city]

    def test_are_documented(self):
        head = ["City", *(name_of(kind) for kind in CLOUDS.values())]
        lines = [head, ["---"] * len(head)]
        for city in CHOSEN:
            found = [nearest(city, cloud)[0] for cloud in CLOUDS]
            lines.append([city, *(f"{one.region.code} ({one.distance_km:,.0f} km)" for one in found)])
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        assert table in DOCUMENT.read_text(encoding="utf-8"), f"The table is now:\n{table}"

    def test_have_cities_on_six_continents(self):
        continents = {
            services.find_country(text=services.search_places(q=city, limit=1)[0].country).continent
            for city in CHOSEN
        }
        assert continents == {"Africa", "Asia", "Europe", "North America", "Oceania", "South America"}
        assert len(CHOSEN) == 10
