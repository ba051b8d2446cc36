"""What the agent is told to run."""

from __future__ import annotations

import shutil

from emulators.recipes import recipe_for


class TestRecipe:
    def test_names_console_game_and_emulator_in_the_environment_only(self):
        recipe = recipe_for(console="switch", game_id="a; rm -rf $HOME", emulator="Ryubing")
        assert recipe.env == {
            "GAMER_CONSOLE": "switch",
            "GAMER_GAME": "a; rm -rf $HOME",
            "GAMER_EMULATOR": "Ryubing",
        }
        assert not any("rm" in word for word in recipe.argv)

    def test_starts_a_program_every_machine_has(self):
        recipe = recipe_for(console="nes", game_id="raccoon-racer", emulator="Mesen")
        assert shutil.which(recipe.argv[0])

    def test_shows_the_title_or_else_the_id(self):
        assert recipe_for(console="nes", game_id="x", emulator="Mesen").title == "x"
        assert recipe_for(console="nes", game_id="x", emulator="Mesen", title="The X").title == "The X"
