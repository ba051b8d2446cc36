import pytest
from hypothesis import given
from hypothesis import strategies as st

from locations.geocoding import names


class TestFold:
    @pytest.mark.parametrize(
        ("text", "folded"),
        [
            ("  São-Paulo ", "sao paulo"),
            ("ŁÓDŹ", "lodz"),
            ("'s-Gravenhage", "s gravenhage"),
            ("Halle (Saale)", "halle saale"),
            ("Straße", "strasse"),
            ("İstanbul", "istanbul"),
            ("МОСКВА", "москва"),
            ("東京", "東京"),
            ("Washington, D.C.", "washington d c"),
            ("under_score", "under score"),
            ("\0\n\t", ""),
            ("!?", ""),
        ],
    )
    def test_leaves_letters_and_digits_only(self, text, folded):
        assert names.fold(text) == folded

    @given(text=st.text(st.characters(), max_size=names.MAX_NAME + 5))
    def test_takes_any_text_and_is_done_the_first_time(self, text):
        folded = names.fold(text)
        assert names.fold(folded[: names.MAX_NAME]) == folded[: names.MAX_NAME].strip()
        assert "\0" not in folded

    def test_gives_up_on_what_is_longer_than_any_name(self):
        assert names.fold("a" * 10_000) == ""


class TestKey:
    def test_spells_out_abbreviations(self):
        assert names.key("St. Louis") == names.key("Saint-Louis") == "saint louis"
        assert names.key("Mt Vernon") == names.key("Mount Vernon")

    def test_touches_whole_words_only(self):
        assert names.key("Stuttgart") == "stuttgart"


class TestKeys:
    @given(
        texts=st.lists(
            st.text(st.sampled_from(" \n\r_-.'’stefmİıßŁøǅ́ͅำ가東ﬁ½\U0001d400") | st.characters(), max_size=12)
        )
    )
    def test_are_those_of_each_name_alone(self, texts):
        assert names.keys(texts) == [names.key(text) for text in texts]

    def test_of_very_many_stay_in_order(self):
        texts = [*(f"St. {number}" for number in range(25_000)), "a" * 10_000, "", "St.\nJohn's"]
        found = names.keys(iter(texts))
        assert found[:25_000] == [f"saint {number}" for number in range(25_000)]
        assert found[25_000:] == ["", "", "saint johns"]


class TestPrefixes:
    def test_reads_a_half_typed_word_both_ways(self):
        assert names.prefixes("st") == {"st", "saint"}
        assert names.prefixes("Fort St") == {"fort st", "fort saint"}

    def test_spells_out_the_words_that_are_finished(self):
        assert names.prefixes("St. Lou") == {"saint lou"}

    def test_has_none_for_nothing(self):
        assert names.prefixes(" ,. ") == set()


class TestCompact:
    @pytest.mark.parametrize("text", ["United States", "UNITED-STATES", "unitedstates", "The United States"])
    def test_brings_the_ways_to_write_a_country_together(self, text):
        assert names.compact(text) == "unitedstates"
