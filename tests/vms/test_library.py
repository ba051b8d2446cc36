"""A game whose file the library has lost is refused before anything is bought; whatever nobody can tell is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.core.checks import run_checks
from rest_framework.test import APIClient

from accounts.principal import policy
from emulators.models import Game, LibraryFile
from gamer.errors import ValidationError
from tests.vms.control_plane import ControlPlane
from tests.vms.setup.test_library import KEY
from vms import services
from vms.models import VM

FILE = "switch/Mario Odyssey (World).nsp"
LOST = "the library has lost the file of Mario Odyssey"
ORDER = {"console_type": "switch", "game_id": "mario-odyssey"}


@pytest.fixture
def library(settings: Any) -> None:
    settings.GAMES_URL = "gs://games"


def filed(plane: ControlPlane, *, is_missing: bool) -> None:
    """What a scan that looked for the file has left."""
    Game.objects.filter(console="switch", game_id="mario-odyssey").update(file=FILE)
    LibraryFile.objects.create(
        path=FILE, console_id="switch", missing_since=plane.now() if is_missing else None
    )


@pytest.mark.usefixtures("library")
class TestLaunch:
    def test_of_a_game_whose_file_is_gone_is_refused_before_anything_is_made(
        self, stocked: ControlPlane
    ) -> None:
        filed(stocked, is_missing=True)
        with pytest.raises(ValidationError, match=LOST):
            stocked.launch()
        assert not VM.objects.exists()

    def test_of_a_game_whose_file_is_there_goes_on(self, stocked: ControlPlane) -> None:
        filed(stocked, is_missing=False)
        assert stocked.launch().game_id == "mario-odyssey"

    def test_of_an_unknown_game_or_one_without_a_file_goes_on(self, stocked: ControlPlane) -> None:
        assert stocked.launch(game_id="unknown").game_id == "unknown"
        assert stocked.launch(game_id="mario-odyssey").game_id == "mario-odyssey"

    def test_of_a_file_that_no_scan_has_looked_for_goes_on(self, stocked: ControlPlane) -> None:
        Game.objects.filter(game_id="mario-odyssey").update(file=FILE)
        assert stocked.launch().game_id == "mario-odyssey"

    def test_on_a_running_vm_and_of_a_failed_one_is_refused_too(self, stocked: ControlPlane) -> None:
        vm = stocked.until(stocked.launch(game_id="other"), "running")
        filed(stocked, is_missing=True)
        with pytest.raises(ValidationError, match=LOST):
            services.launch_on(vm=vm, by=policy("test"), game_id="mario-odyssey", now=stocked.clock())
        VM.objects.filter(pk=vm.pk).update(
            phase="failed", next_look_at=None, ended_at=stocked.now(), game_id="mario-odyssey"
        )
        vm.refresh_from_db()
        with pytest.raises(ValidationError, match=LOST):
            services.retry(vm=vm, by=policy("test"), now=stocked.clock())
        vm.refresh_from_db()
        assert vm.phase == "failed"

    def test_without_a_library_goes_on_whatever_was_known_of_one(
        self, stocked: ControlPlane, settings: Any
    ) -> None:
        filed(stocked, is_missing=True)
        settings.GAMES_URL = ""
        assert stocked.launch().game_id == "mario-odyssey"


@pytest.mark.usefixtures("library")
class TestDoors:
    """Every door that buys says 400 and names the field and the game."""

    def refused(self, answer: Any) -> None:
        assert answer.status_code == 400
        (text,) = answer.json()["error"]["details"]["game_id"]
        assert text.startswith(LOST)

    def test_of_the_api(self, stocked: ControlPlane, as_sam: APIClient) -> None:
        filed(stocked, is_missing=True)
        self.refused(as_sam.post("/launch/game", ORDER))
        self.refused(as_sam.post("/vms", ORDER))
        assert not VM.objects.exists()
        vm = stocked.until(stocked.launch(game_id="other"), "running")
        self.refused(as_sam.post(f"/launch/vm/{vm.pk}/game", {"game_id": "mario-odyssey"}))

    def test_of_the_preview(self, stocked: ControlPlane, world: Any, client: Any) -> None:
        filed(stocked, is_missing=True)
        client.force_login(world.sam)
        page = client.get("/admin/vms/vm/preview/", {"console": "switch", "game_id": "mario-odyssey"})
        assert LOST in page.content.decode()
        page = client.get("/admin/vms/vm/preview/", {"console": "switch", "game_id": "other"})
        assert LOST not in page.content.decode()


class TestAddress:
    def found(self) -> Any:
        return [one for one in run_checks(tags=["environment"]) if one.id in ("gamer.E012", "gamer.E022")]

    def test_that_cannot_be_used_is_said_without_its_secret(self, settings: Any) -> None:
        settings.GAMES_URL = "s4://key:canary@host/bucket"
        (found,) = self.found()
        assert "canary" not in found.msg

    def test_of_a_host_names_its_key_in_production(self, settings: Any) -> None:
        settings.ENV = replace(settings.ENV, is_production=True)
        settings.GAMES_URL = "sftp://reader:x@host/folder"
        assert "gamer.W007" in [one.id for one in run_checks(tags=["environment"])]
        settings.GAMES_URL += f"?host_key=ssh-ed25519+{KEY}"
        assert "gamer.W007" not in [one.id for one in run_checks(tags=["environment"])]

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("sftp://host/folder", "cannot be used"),
            ("s3://key:canary@host/bucket", "another place"),
            ("", ""),
        ],
    )
    def test_of_the_login_that_writes_is_judged_too(self, settings: Any, url: str, words: str) -> None:
        settings.GAMES_URL, settings.GAMES_UPLOAD_URL = "sftp://reader:x@host/folder", url
        found = self.found()
        assert len(found) == (1 if words else 0)
        assert all(words in one.msg and "canary" not in one.msg for one in found)
