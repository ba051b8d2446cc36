"""What a file's name says of its game."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.filenames import (
    MAX_ID,
    MAX_TITLE,
    Finding,
    console_of,
    id_of,
    is_hidden,
    is_safe,
    judge,
    named_after,
)
from emulators.models import GAME_ID

EXTENSIONS = {"nes": {".nes"}, "gamecube": {".iso", ".bin"}}


class TestName:
    @pytest.mark.parametrize(
        ("stem", "title", "game_id"),
        [
            ("Castle of Blocks (World) (Rev 1)", "Castle of Blocks", "castle-of-blocks"),
            ("Legend of X, The (USA)", "The Legend of X", "the-legend-of-x"),
            ("Legend of X, The - Part II (USA) [!]", "The Legend of X - Part II", "the-legend-of-x-part-ii"),
            ("Castle_of_Blocks", "Castle of Blocks", "castle-of-blocks"),
            ("Pokémon - Rouge (France)", "Pokémon - Rouge", "pokemon-rouge"),
            ("Rock & Roll's Best", "Rock & Roll's Best", "rock-and-rolls-best"),
            ("Quest (USA) (Disc 2)", "Quest (Disc 2)", "quest-disc-2"),
            ("ポケモン 赤 (Japan)", "ポケモン 赤", "game-55c3656d"),
            ("ポケモン 2", "ポケモン 2", "2-5ee70ba3"),
            ("(USA)", "(USA)", "usa"),
        ],
    )
    def test_becomes_a_title_and_an_id_for_ever(self, stem, title, game_id):
        assert (named_after(stem).title, named_after(stem).game_id) == (title, game_id)

    def test_of_discs_are_games_of_their_own(self):
        assert len({named_after(f"Quest (USA) (Disc {n})").game_id for n in (1, 2)}) == 2

    @pytest.mark.parametrize(
        ("better", "worse"),
        [
            ("X (World)", "X (USA)"),
            ("X (USA)", "X (Europe)"),
            ("X (USA, Europe)", "X (Europe)"),
            ("X (Europe)", "X (Japan)"),
            ("X (Japan)", "X (Brazil)"),
            ("X (Brazil)", "X (USA) (Beta)"),
            ("X (Japan)", "X (USA) [b1]"),
            ("X", "X (Japan)"),
        ],
    )
    def test_tells_which_version_most_can_play(self, better, worse):
        assert named_after(better).rank < named_after(worse).rank

    @given(stem=st.text(max_size=400))
    def test_of_any_kind_gives_an_id_and_a_title_that_a_game_may_have(self, stem):
        named = named_after(stem)
        assert re.match(GAME_ID, named.game_id)
        assert 1 <= len(named.title) <= MAX_TITLE
        assert len(named.game_id) <= MAX_ID
        assert 0 <= named.rank < 100
        assert named_after(stem) == named

    @pytest.mark.parametrize("length", [190, 200, 250])
    def test_of_a_long_disc_keeps_to_what_a_title_may_have(self, length):
        assert len(named_after(f"A Quest of Blocks (Disc {'1' * length})").title) == MAX_TITLE

    def test_that_is_long_is_told_from_another_with_the_same_beginning(self):
        one, other = id_of("x" * 150 + "a"), id_of("x" * 150 + "b")
        assert one != other
        assert len(one) == len(other) == MAX_ID


class TestFile:
    def test_is_of_the_console_whose_folder_it_is_in(self):
        assert console_of("NES", EXTENSIONS) == "nes"
        assert console_of("movies", EXTENSIONS) == ""

    @pytest.mark.parametrize("path", [".a.nes", "nes/.a/b.nes", "nes/._b.nes"])
    def test_that_is_hidden_is_nobodys_business(self, path):
        assert is_hidden(path)
        assert not is_hidden("nes/a.b.nes")

    @pytest.mark.parametrize(
        ("path", "size", "finding"),
        [
            ("nes/a.nes", 1, Finding.NOTHING),
            ("nes/a.NES", 1, Finding.NOTHING),
            ("nes/a.nes", 0, Finding.EMPTY),
            ("nes/a.bin", 1, Finding.SEVERAL_FILES),
            ("gamecube/a.bin", 1, Finding.NOTHING),  # where staff say that it is a game
            ("gamecube/a.cue", 1, Finding.SEVERAL_FILES),
            ("nes/a.txt", 1, Finding.UNKNOWN_EXTENSION),
            ("a.nes", 1, Finding.UNKNOWN_FOLDER),
            ("wii/a.iso", 1, Finding.UNKNOWN_FOLDER),
            ("nes/a\\b.nes", 1, Finding.UNSAFE_NAME),
        ],
    )
    def test_is_judged_by_folder_name_and_size(self, path, size, finding):
        assert judge(path, size, EXTENSIONS).finding == finding

    @given(path=st.text(max_size=400))
    def test_that_is_safe_leads_nowhere_else(self, path):
        if is_safe(path):
            assert not path.startswith("/")
            assert ".." not in path.split("/")
            assert not any(ord(letter) < 32 for letter in path)
