"""With a library of games, a launch is refused before anything is bought when the game has no file in it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from accounts.principal import policy
from emulators.models import Game
from gamer.errors import ValidationError
from tests.vms.control_plane import ControlPlane
from vms import services
from vms.models import VM

MARIO = {"console": "switch", "game_id": "mario-odyssey"}


@pytest.fixture
def library(settings: Any) -> None:
    settings.GAMES_URL = "gs://games"


@pytest.fixture
def stocked(plane: ControlPlane) -> ControlPlane:
    plane.turn()
    plane.turn()
    return plane


def filed(file: str) -> None:
    Game.objects.filter(console="switch", game_id="mario-odyssey").update(file=file)


class TestLaunch:
    @pytest.mark.usefixtures("library")
    @pytest.mark.parametrize("game_id", ["mario-odyssey", "unknown"])
    def test_of_a_game_without_a_file_is_refused_before_anything_is_made(
        self, stocked: ControlPlane, game_id: str
    ) -> None:
        with pytest.raises(ValidationError, match="the library has no file for this game"):
            stocked.launch(game_id=game_id)
        assert not VM.objects.exists()

    @pytest.mark.usefixtures("library")
    def test_of_a_game_with_a_file_goes_on(self, stocked: ControlPlane) -> None:
        filed("switch/mario.nsp")
        assert stocked.launch().game_id == "mario-odyssey"

    @pytest.mark.usefixtures("library")
    def test_on_a_running_vm_is_refused_too(self, stocked: ControlPlane) -> None:
        filed("switch/mario.nsp")
        vm = stocked.until(stocked.launch(), "running")
        with pytest.raises(ValidationError):
            services.launch_on(vm=vm, by=policy("test"), game_id="open-plains", now=stocked.clock())

    def test_without_a_library_nobody_can_tell(self, stocked: ControlPlane) -> None:
        assert stocked.launch(game_id="unknown").game_id == "unknown"


class TestAddress:
    def test_that_cannot_be_used_is_said_without_its_secret(self, settings: Any) -> None:
        settings.GAMES_URL = "s4://key:canary@host/bucket"
        (found,) = [one for one in run_checks(tags=["environment"]) if one.id == "gamer.E012"]
        assert "canary" not in found.msg
