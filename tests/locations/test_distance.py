import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from locations import distance

DALLAS = (32.7767, -96.7970)
CHUBBUCK = (42.92075, -112.46609)

latitudes = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, 0.0, 89.999999])
longitudes = st.floats(-180, 180) | st.sampled_from([-180.0, 180.0, 179.999999, -179.999999, 0.0])
positions = st.tuples(latitudes, longitudes)
unknown = st.sampled_from(
    [(math.nan, 0.0), (0.0, math.nan), (math.nan, math.nan), (91.0, 0.0), (0.0, math.inf)]
)


def columns(places):
    return [lat for lat, _ in places], [lon for _, lon in places]


def is_known(place):
    return abs(place[0]) <= 90 and math.isfinite(place[1])


def by_geopy(here, places):
    """What a plain loop finds: known positions by geodesic distance, ties in order of input."""
    known = [index for index, place in enumerate(places) if is_known(place)]
    return sorted(known, key=lambda index: distance.distance_km(here, places[index]))


class TestDistanceKm:
    def test_is_the_geodesic_between_two_cities(self):
        """Newport to Cleveland, the worked example of geopy's documentation."""
        assert distance.distance_km((41.49008, -71.312796), (41.499498, -81.695391)) == pytest.approx(
            866.455, abs=0.001
        )

    def test_follows_the_ellipsoid(self):
        assert distance.distance_km((0, 0), (90, 0)) == pytest.approx(10001.966, abs=0.001)

    @pytest.mark.parametrize("place", [(91.0, 0.0), (math.nan, 0.0), (0.0, math.nan), (0.0, math.inf)])
    def test_refuses_what_is_off_the_map(self, place):
        with pytest.raises(ValueError, match="not on the map"):
            distance.distance_km(place, DALLAS)


class TestDistancesKm:
    @given(here=positions, there=positions)
    @example(here=(0.0, 0.0), there=(0.0, 180.0))
    @example(here=(0.0, 0.0), there=(0.5, 179.7))
    @example(here=(90.0, 0.0), there=(-90.0, 77.0))
    def test_stays_within_the_stated_error(self, here, there):
        rough = distance.distances_km(*here, [there[0]], [there[1]])[0]
        exact = distance.distance_km(here, there)
        assert abs(rough - exact) <= 0.0057 * exact + 0.001

    def test_crosses_the_antimeridian(self):
        assert distance.distances_km(0.0, 179.9, [0.0], [-179.9])[0] == pytest.approx(22.24, abs=0.01)

    @given(place=unknown)
    def test_is_nan_off_the_map(self, place):
        assert math.isnan(distance.distances_km(*DALLAS, *columns([place]))[0])
        assert math.isnan(distance.distances_km(*place, *columns([DALLAS]))[0])

    def test_leaves_its_arguments_alone(self):
        lats, lons = np.array([1.0, 91.0]), np.array([2.0, 3.0])
        distance.distances_km(*DALLAS, lats, lons)
        assert lats.tolist() == [1.0, 91.0]
        assert lons.tolist() == [2.0, 3.0]

    def test_answers_nothing_for_nothing(self):
        assert distance.distances_km(*DALLAS, [], []).shape == (0,)


class TestWinner:
    @given(here=positions, places=st.lists(positions | unknown, max_size=40))
    def test_has_the_winner_of_a_geopy_loop(self, here, places):
        assert distance.closest(*here, *columns(places)) == by_geopy(here, places)[:1]

    @given(
        here=st.tuples(st.floats(-80, 80), st.floats(-170, 170)),
        bearings=st.lists(st.floats(0, 2 * math.pi), min_size=2, max_size=20),
    )
    def test_tells_apart_what_the_sphere_cannot(self, here, bearings):
        ring = [
            (here[0] + 3 * math.cos(b), here[1] + 3 * math.sin(b) / math.cos(math.radians(here[0])))
            for b in bearings
        ]
        assert distance.closest(*here, *columns(ring)) == by_geopy(here, ring)[:1]

    def test_prefers_the_geodesic_over_the_great_circle(self):
        """North-south is 0.5 % shorter on the ellipsoid near the equator, east-west is not."""
        north, east = (1.0, 0.0), (0.0, 0.997)
        rough = distance.distances_km(0.0, 0.0, *columns([north, east]))
        assert rough[1] < rough[0]
        assert distance.closest(0.0, 0.0, *columns([north, east])) == [0]

    def test_takes_the_first_of_equals(self):
        assert distance.closest(*DALLAS, *columns([CHUBBUCK, CHUBBUCK, CHUBBUCK])) == [0]

    def test_finds_nobody_when_all_are_off_the_map(self):
        assert distance.closest(*DALLAS, [math.nan, 95.0], [0.0, 0.0]) == []

    def test_finds_nobody_from_off_the_map(self):
        assert distance.closest(math.nan, 0.0, *columns([DALLAS])) == []


class TestClosest:
    @given(here=positions, places=st.lists(positions | unknown, max_size=30), limit=st.integers(0, 12))
    def test_has_the_head_of_a_geopy_sort(self, here, places, limit):
        assert distance.closest(*here, *columns(places), limit=limit) == by_geopy(here, places)[:limit]

    def test_measures_a_crowd_in_one_place_once(self, monkeypatch):
        measured = []
        geodesic = distance.distance_km
        monkeypatch.setattr(distance, "distance_km", lambda a, b: measured.append(b) or geodesic(a, b))
        assert distance.closest(*DALLAS, [CHUBBUCK[0]] * 500, [CHUBBUCK[1]] * 500, limit=3) == [0, 1, 2]
        assert measured == [CHUBBUCK]
