"""Ten cities on six continents, all six kinds of provider, and the machine that the preview picks: docs/placement.md.

Chosen with a map and a price list, not copied from an answer.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from emulators.models import EmulatorConfig
from vms.admin.wording import kind_name
from vms.models import ProviderAccount

PREVIEW = "/admin/vms/vm/preview/"
DOCUMENT = Path(settings.BASE_DIR) / "docs" / "placement.md"
CONSOLE = "switch"
# What 1,000 km are worth, and how the column is called.
COLUMNS = {None: "Provider by provider", "0.25": "By score, $0.25", "100": "By score, $100"}
# By column, where a person with a map and a price list would go.
CHOSEN = {
    "Dallas, Texas": ("TensorDock, Dallas", "TensorDock, Dallas", "TensorDock, Dallas"),
    "Vancouver, Canada": ("TensorDock, Seattle", "TensorDock, Seattle", "TensorDock, Seattle"),
    "São Paulo, Brazil": ("TensorDock, São Paulo", "TensorDock, São Paulo", "TensorDock, São Paulo"),
    "London, United Kingdom": ("TensorDock, London", "Scaleway, Paris", "TensorDock, London"),
    "Warsaw, Poland": ("TensorDock, Stockholm", "Paperspace, Amsterdam", "Scaleway, Warsaw"),
    "Lagos, Nigeria": ("TensorDock, Paris", "Scaleway, Paris", "AWS, Milan"),
    "Cape Town, South Africa": ("TensorDock, São Paulo", "AWS, Cape Town", "AWS, Cape Town"),
    "Mumbai, India": ("TensorDock, Singapore", "Google Cloud, Mumbai", "Google Cloud, Mumbai"),
    "Tokyo, Japan": ("TensorDock, Tokyo", "TensorDock, Tokyo", "TensorDock, Tokyo"),
    "Auckland, New Zealand": ("TensorDock, Sydney", "TensorDock, Sydney", "TensorDock, Sydney"),
}


def picked(client, city: str):
    return client.get(PREVIEW, {"console": CONSOLE, "city": city}).context["options"][0]


def cell(option) -> str:
    kind = ProviderAccount.objects.get(name=option.account).kind
    town = option.place.split(",")[0]
    return f"{kind_name(kind).partition(' (')[0]}, {town}: {option.price}, {option.distance}"


@pytest.fixture
def rows(six, sam) -> dict[str, list[str]]:
    """City by city what the preview shows first, in every column."""
    found: dict[str, list[str]] = {city: [] for city in CHOSEN}
    for worth in COLUMNS:
        EmulatorConfig.objects.filter(pk=CONSOLE).update(usd_per_1000_km=worth)
        for city, cells in found.items():
            cells.append(cell(picked(sam, city)))
    return found


class TestPicks:
    def test_are_a_persons_with_a_map_and_in_the_document(self, rows):
        assert {city: tuple(one.partition(":")[0] for one in cells) for city, cells in rows.items()} == CHOSEN
        head = ["City", *COLUMNS.values()]
        lines = [head, ["---"] * len(head), *([city, *cells] for city, cells in rows.items())]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        assert table in DOCUMENT.read_text(encoding="utf-8"), f"The table is now:\n{table}"
