"""From a game to what the agent on the machine is told to run. Pure.

This first recipe runs a process that only waits: the agent starts, supervises and ends it as it will a game, and the
environment says which. The Console issue replaces it by an app of Wolf with the emulator and the game inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to start: a program with its arguments (no shell reads them), variables added to its environment, and a name to show."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    title: str


def recipe_for(*, console: str, game_id: str, emulator: str, title: str = "") -> Recipe:
    """The recipe of a game in an emulator (`Profile.emulator`); without a title its id is shown."""
    env = {"GAMER_CONSOLE": console, "GAMER_GAME": game_id, "GAMER_EMULATOR": emulator}
    return Recipe(argv=("sleep", "infinity"), env=env, title=title or game_id)
