"""How far apart places are: exact for what is shown, vectorised for ranking many. Pure, no Django.

Positions are degrees, latitude first. Distances are kilometres on WGS-84 (`distance_km`) or on a sphere of mean
radius (`distances_km`). NaN stands for "not on the map"; a latitude outside ±90 or an infinity counts as that too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from geopy.distance import geodesic
from numpy.typing import ArrayLike, NDArray

Coordinates = tuple[float, float]
Floats = NDArray[np.float64]

EARTH_RADIUS_KM = 6371.0088

# A step on the ellipsoid is shortest along the equatorial meridian (radius of curvature 6335.439 km) and longest at the
# poles (6399.594 km). Divided by the sphere's radius these bound geodesic / great-circle for any two points.
_LEAST_RATIO = 0.9944
_MOST_RATIO = 1.0045
_ROUNDING_KM = 1e-3


def distance_km(a: Coordinates, b: Coordinates) -> float:
    """The geodesic between two positions: the number to show. ValueError for a latitude outside ±90 or a NaN."""
    for latitude, longitude in (a, b):
        if not (abs(latitude) <= 90.0 and math.isfinite(longitude)):
            raise ValueError(f"not on the map: latitude {latitude}, longitude {longitude}")
    return float(geodesic(a, b).kilometers)


def distances_km(latitude: float, longitude: float, latitudes: ArrayLike, longitudes: ArrayLike) -> Floats:
    """Great-circle distances from one position to many, shape (n,). Within 0.57 % of `distance_km`; NaN if unknown."""
    lats = np.asarray(latitudes, dtype=np.float64)
    lons = np.asarray(longitudes, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        half_chord = np.sin(np.radians(lats - latitude) / 2) ** 2
        half_chord += (
            np.cos(np.radians(lats))
            * math.cos(_radians(latitude))
            * np.sin(np.radians(lons - longitude) / 2) ** 2
        )
        np.clip(half_chord, 0.0, 1.0, out=half_chord)
        distances: Floats = np.arcsin(np.sqrt(half_chord, out=half_chord), out=half_chord)
        distances *= 2 * EARTH_RADIUS_KM
        distances[~(np.abs(lats) <= 90.0)] = np.nan
    if not abs(latitude) <= 90.0:
        distances[:] = np.nan
    return distances


def closest(
    latitude: float, longitude: float, latitudes: ArrayLike, longitudes: ArrayLike, *, limit: int = 1
) -> list[int]:
    """Indices of the `limit` nearest positions, nearest first: what sorting by `distance_km` would give.

    Equal distances keep their order of input. Unknown positions are left out, so the list may be shorter.
    """
    rough = distances_km(latitude, longitude, latitudes, longitudes)
    return _closest(rough, latitude, longitude, latitudes, longitudes, limit)


def _closest(
    rough: Floats, latitude: float, longitude: float, latitudes: ArrayLike, longitudes: ArrayLike, limit: int
) -> list[int]:
    known = int(np.count_nonzero(~np.isnan(rough)))
    limit = min(limit, known)
    if limit <= 0:
        return []
    lats = np.asarray(latitudes, dtype=np.float64)
    lons = np.asarray(longitudes, dtype=np.float64)
    exact: dict[tuple[float, float], float] = {}
    best: list[tuple[float, int]] = []
    for index in _candidates(rough, limit):
        if len(best) == limit and rough[index] * _LEAST_RATIO - _ROUNDING_KM > best[-1][0]:
            break
        position = (float(lats[index]), float(lons[index]))
        if position not in exact:
            exact[position] = distance_km((latitude, longitude), position)
        best.append((exact[position], int(index)))
        best.sort()
        del best[limit:]
    return [index for _, index in best]


def _candidates(rough: Floats, limit: int) -> NDArray[Any]:
    """Indices that can be among the `limit` nearest, by rising great-circle distance."""
    bound = np.partition(rough, limit - 1)[limit - 1]
    within = np.flatnonzero(rough <= bound * (_MOST_RATIO / _LEAST_RATIO) + _ROUNDING_KM)
    return within[np.argsort(rough[within], kind="stable")]


def _radians(degrees: float) -> float:
    return math.radians(degrees) if math.isfinite(degrees) else math.nan
