"""The overview of staff's page of regions: a map, and how many regions each provider has on each continent."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from locations import services
from locations.catalogue import CLOUDS, name_of
from locations.models import Region
from locations.regions import ELSEWHERE

FIELD_DEGREES = 2
COLOURS = dict(zip(CLOUDS.values(), ("#2563eb", "#ea580c", "#0891b2", "#9333ea", "#16a34a"), strict=True))
OTHER_COLOUR = "#64748b"
# Clouds share towns: each one's dots stand a little to its own side of the town, so that none hides another.
ASIDE = {
    kind: (math.cos(turn * math.tau / len(COLOURS)), math.sin(turn * math.tau / len(COLOURS)))
    for turn, kind in enumerate(COLOURS)
}


@dataclass(frozen=True, slots=True)
class Dot:
    """A region on the map; `y` grows to the south."""

    x: float
    y: float
    colour: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A provider: how many regions it has on the continents in the order of the table's head, and in all."""

    kind: str
    name: str
    colour: str
    counts: list[int]
    total: int
    with_gpus: int


def overview() -> dict[str, Any]:
    """What `locations/regions.html` shows, in one statement."""
    rows = list(Region.objects.order_by("kind", "code"))
    counted = Counter((row.kind, row.continent or ELSEWHERE) for row in rows)
    continents = sorted({continent for _, continent in counted})
    kinds = sorted({row.kind for row in rows}, key=lambda kind: (kind not in COLOURS, name_of(kind)))
    return {
        "land": land(),
        "dots": [_dot(row) for row in rows if row.latitude is not None and row.is_listed],
        "continents": continents,
        "lines": [
            Line(
                kind=kind,
                name=name_of(kind),
                colour=COLOURS.get(kind, OTHER_COLOUR),
                counts=[counted[kind, continent] for continent in continents],
                total=sum(row.kind == kind for row in rows),
                with_gpus=sum(row.kind == kind and bool(row.gpu_models) for row in rows),
            )
            for kind in kinds
        ],
    }


@cache
def land() -> str:
    """The inhabited world as the path of an SVG in degrees."""
    side = FIELD_DEGREES
    fields = services.inhabited_fields(side)
    return "".join(f"M{west} {-south}h{side}v-{side}h-{side}z" for south, west in fields)


def _dot(region: Region) -> Dot:
    assert region.latitude is not None
    assert region.longitude is not None
    east, south = ASIDE.get(region.kind, (0, 0))
    return Dot(
        x=round(region.longitude + east, 2),
        y=round(south - region.latitude, 2),
        colour=COLOURS.get(region.kind, OTHER_COLOUR),
        title=f"{name_of(region.kind)} {region.code}: {region.name}",
    )
