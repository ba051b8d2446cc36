"""What Wolf on the machine is told to run, and that no name of anybody's reaches a shell."""

from __future__ import annotations

import json
import shlex
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.recipes import (
    EMULATORS,
    WORD,
    Display,
    NoRecipe,
    Recipe,
    emulator_of,
    needs_of,
    recipe_for,
    safe_title,
)
from emulators.shipped import CONSOLES

CONSOLE_NAMES = sorted(CONSOLES)
HOSTILE = [
    "a; rm -rf $HOME",
    "$(reboot).nes",
    "`reboot`.nes",
    'quote" && exec sh "',
    "line\nexec sh",
    "../../etc/passwd",
    "colon:rw:/etc.nes",
    "% f {x} 'y'",
    "ポケモン.nes",
    "\ud800broken.nes",
]
names = st.one_of(st.text(max_size=80), st.sampled_from(HOSTILE))


def recipe(console: str = "nes", **changes: Any) -> Recipe:
    wanted = {"game_id": "castle", "emulator": CONSOLES[console].default_emulator, **changes}
    return recipe_for(console=console, **wanted)


class TestRecipe:
    @pytest.mark.parametrize("console", CONSOLE_NAMES)
    def test_is_known_for_every_console_we_ship(self, console):
        made = recipe(console, file="some/game.bin")
        assert made.image.startswith("ghcr.io/games-on-whales/")
        assert made.launch[-1] == f"/games/{made.shown}"
        assert f"/srv/gamer/roms/{made.stored}:/games/{made.shown}:ro" in made.mounts

    @pytest.mark.parametrize("console", CONSOLE_NAMES)
    def test_shows_a_game_by_the_same_name_whatever_its_file_is_called(self, console):
        """RetroArch names saves after it: under another one they are not found."""
        one, other = (recipe(console, file=file) for file in ("a/Castle (USA).bin", "Castle (Rev 1).BIN"))
        assert one.launch == other.launch
        assert one.stored != other.stored
        assert one.shown != recipe(console, game_id="tower", file="a/Castle (USA).bin").shown

    def test_of_a_core_runs_retroarch_with_its_settings(self):
        made = recipe("snes", file="Crystal Quest (USA).sfc", emulator="snes9X")
        assert made.launch == (
            "retroarch",
            "--fullscreen",
            "--appendconfig=/gamer/retroarch.cfg",
            "-L",
            "/tools/snes9x_libretro.so",
            f"/games/{made.shown}",
        )
        assert made.shown.endswith(".sfc")
        assert 'savefile_directory = "/saves"' in made.files["retroarch.cfg"]
        # Not in a folder by the core's name, which is what it does unless it is told.
        assert 'sort_savefiles_enable = "false"' in made.files["retroarch.cfg"]
        assert 'joypad_autoconfig_dir = "/tools/autoconfig"' in made.files["retroarch.cfg"]
        assert 'system_directory = "/firmware"' in made.files["retroarch.cfg"]
        assert "/srv/gamer/system:/firmware:ro" in made.mounts

    def test_of_a_program_runs_it_from_the_tools(self):
        made = recipe("switch", file="odyssey.nsp")
        assert made.launch[0] == "/tools/ryubing.AppImage"
        assert (made.program, made.core) == ("ryubing", "")

    def test_without_a_file_starts_the_emulator_alone(self):
        made = recipe("gba")
        assert made.stored == made.shown == made.source == ""
        assert not any(word.startswith("/games") for word in made.launch)
        assert not any(":/games" in mount for mount in made.mounts)

    @pytest.mark.parametrize("console", ["nds", "3ds"])
    def test_lays_two_screens_as_the_display_is_shaped(self, console):
        wide, tall = (
            recipe_for(
                console=console,
                game_id="x",
                emulator=CONSOLES[console].default_emulator,
                display=Display(width, height),
            ).files
            for width, height in ((1920, 1080), (1080, 1920))
        )
        assert wide != tall
        assert "Left/Right" in str(wide) or "layout_option=3" in str(wide)

    def test_leaves_one_screen_alone(self):
        wide = recipe_for(console="snes", game_id="x", emulator="Snes9x", display=Display(2560, 1080))
        tall = recipe_for(console="snes", game_id="x", emulator="Snes9x", display=Display(1080, 2560))
        assert wide == tall

    def test_gives_each_save_a_folder_of_its_own(self):
        folders = {
            mount
            for key in ("alice/slot-1", "alice/slot-2", "bob/slot-1")
            for mount in recipe(save_key=key).mounts
            if mount.endswith(":/saves:rw")
        }
        assert len(folders) == 3

    def test_without_a_clock_of_its_own_sees_the_real_time(self):
        assert "FAKETIME" not in str(recipe("snes"))

    @pytest.mark.parametrize("console", CONSOLE_NAMES)
    def test_with_a_clock_of_its_own_gives_it_to_the_game_alone(self, console):
        made = recipe(console, has_clock=True)
        assert made.launch[:2] == ("env", "LD_PRELOAD=/tools/libfaketimeMT.so.1")
        assert made.launch[2:] == recipe(console).launch
        assert all(WORD.match(word) for word in made.launch)
        assert "LD_PRELOAD" not in made.env
        assert made.env["FAKETIME_TIMESTAMP_FILE"] == "/gamer/clock"
        assert f"{made.place}:/gamer:ro" in made.mounts
        assert f"{made.saves}:/saves:rw" in made.mounts

    def test_runs_its_script_in_the_place_of_the_images_own(self):
        made = recipe(file="x.nes")
        assert any(mount.endswith("/startup.sh:/opt/gow/startup-app.sh:ro") for mount in made.mounts)
        assert made.startup.splitlines()[-1] == "launcher " + " ".join(made.launch)

    @pytest.mark.parametrize("console", CONSOLE_NAMES)
    def test_needs_nothing_that_the_machine_was_not_given(self, console):
        needs, made = needs_of(console), recipe(console)
        assert made.image in needs.images
        assert made.core in (*needs.cores, "")
        assert made.program in (*needs.programs, "")

    @pytest.mark.parametrize(
        ("console", "emulator", "words"),
        [
            ("nes", "Stella", "Nobody knows"),
            ("nes", "", "Nobody knows"),
            ("wii", "Mesen", "does not play wii"),
        ],
    )
    def test_of_an_emulator_that_cannot_is_refused_in_words(self, console, emulator, words):
        with pytest.raises(NoRecipe, match=words):
            recipe(console, emulator=emulator)

    def test_names_an_emulator_once(self):
        assert len({one.name.casefold() for one in EMULATORS}) == len(EMULATORS)
        assert emulator_of("nes", " mesen ").core == "mesen"


class TestNames:
    @given(console=st.sampled_from(CONSOLE_NAMES), game_id=names, title=names, file=names, save_key=names)
    def test_reach_no_word_mount_or_variable(self, console, game_id, title, file, save_key):
        made = recipe(console, game_id=game_id, title=title, file=file, save_key=save_key)
        assert all(WORD.match(word) for word in made.launch)
        assert shlex.split(" ".join(made.launch)) == list(made.launch)
        assert all(mount.count(":") == 2 and WORD.match(mount.replace(":", "")) for mount in made.mounts)
        assert set(made.env) == {"RUN_SWAY", "GOW_REQUIRED_DEVICES", "GAMER_CONSOLE", "GAMER_RECIPE"}
        alike = recipe(console, file="x" if file else "").startup
        assert made.startup == alike.rpartition("launcher ")[0] + f"launcher {' '.join(made.launch)}\n"
        assert json.dumps(made.env)

    @given(title=names, game_id=names)
    def test_become_a_title_that_is_a_folders_name(self, title, game_id):
        shown = recipe(title=title, game_id=game_id).title
        assert shown
        assert len(shown) <= 60
        assert shown == safe_title(shown)
        assert not {"/", ".", "\n", ":"} & set(shown)

    @given(one=st.tuples(names, names), other=st.tuples(names, names))
    def test_of_two_games_are_never_stored_as_one(self, one, other):
        stored = [recipe(game_id=game_id, file=file).name for game_id, file in (one, other)]
        assert (stored[0] == stored[1]) == (one == other)

    def test_keep_the_extension_that_tells_the_emulator_the_kind(self):
        assert recipe("wii", file="A/B/My Game.WBFS").shown.endswith(".wbfs")
        assert "." not in recipe(file="odd.tar gz").shown
        assert "." not in recipe(file="odd.$(x)").shown


class Container:
    """Runs a recipe's script with a home, saves and the app's files of its own; the image's launcher notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.home, self.saves, self.app, self.gow, self.games, self.system = (
            folder / name for name in ("home", "saves", "gamer", "gow", "games", "firmware")
        )
        for each in (self.home, self.saves, self.app, self.gow, self.games, self.system):
            each.mkdir()
        (self.gow / "launch-comp.sh").write_text('launcher() { echo "$@"; }\n')

    def start(self, made: Recipe) -> str:
        for name, text in made.files.items():
            (self.app / name).write_text(text)
        if made.shown:
            (self.games / made.shown).touch()
        script = made.startup
        for inside, here in {
            "/opt/gow/": f"{self.gow}/",
            "/saves": str(self.saves),
            "/gamer/": f"{self.app}/",
            "/games/": f"{self.games}/",
            "/firmware/": f"{self.system}/",
        }.items():
            script = script.replace(inside, here)
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["/bin/bash", "-c", script], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


class TestStartOfRetroArch:
    """A save has the name of the game, or is read by nobody."""

    def saves_after(self, container: Container, console: str, *brought: str) -> dict[str, str]:
        for name in brought:
            (container.saves / name).parent.mkdir(parents=True, exist_ok=True)
            (container.saves / name).write_text(name)
        made = recipe(console, file="castle.bin")
        assert container.start(made).endswith(made.shown)
        game = made.shown.removesuffix(".bin")
        return {
            str(each.relative_to(container.saves)).replace(game, "GAME"): each.read_text().replace(
                game, "GAME"
            )
            for each in container.saves.rglob("*")
            if each.is_file()
        }

    @pytest.mark.parametrize(
        ("console", "brought", "becomes"),
        [
            ("snes", "Castle (USA).srm", "GAME.srm"),
            ("gba", "Castle, of $(x) 'y'.sav", "GAME.srm"),
            ("gb", "Castle.rtc", "GAME.rtc"),
            ("nds", "Castle.sav", "GAME.sav"),
            ("snes", "Snes9x/Castle (USA).srm", "GAME.srm"),
            ("nds", "melonDS DS/Castle.sav", "GAME.sav"),
            ("gamecube", "dolphin-emu/User/GC/MemoryCardA.USA.raw", "User/GC/MemoryCardA.USA.raw"),
            ("snes", "Castle.txt", "Castle.txt"),
        ],
    )
    def test_takes_up_one_that_a_player_brought(self, container, console, brought, becomes):
        assert self.saves_after(container, console, brought) == {becomes: brought}

    @pytest.mark.parametrize("ending", ["srm", "sav"])
    def test_leaves_the_games_own_alone(self, container, ending):
        own = recipe("snes", file="castle.bin").shown.replace(".bin", f".{ending}")
        other = "Castle.srm" if ending == "srm" else "Castle.dsv"
        kept = self.saves_after(container, "snes", own, other)
        assert kept[f"GAME.{ending}"] == f"GAME.{ending}"
        assert other in kept.values()

    def test_of_several_takes_one_and_loses_none(self, container):
        kept = self.saves_after(container, "snes", "A.srm", "B.srm", "C.sav", "Snes9x/A.srm")
        assert sorted(kept.values()) == ["A.srm", "B.srm", "C.sav", "Snes9x/A.srm"]
        assert kept["GAME.srm"] == "A.srm"

    def test_leaves_what_dolphin_has_alone(self, container):
        brought = ("User/GC/a.raw", "dolphin-emu/User/GC/a.raw")
        assert self.saves_after(container, "wii", *brought) == {one: one for one in brought}

    def test_of_a_slot_without_any_makes_none(self, container):
        assert self.saves_after(container, "snes") == {}


class TestStartOfAzahar:
    """Its settings as QSettings reads them: of a group that stands twice, the last value of a key."""

    def settings_of(self, container: Container) -> ConfigParser:
        read = ConfigParser(strict=False, interpolation=None)
        read.read(container.home / ".config/azahar-emu/qt-config.ini")
        return read

    def made(self, width: int, height: int) -> Recipe:
        return recipe_for(console="3ds", game_id="x", emulator="Azahar", display=Display(width, height))

    def test_gives_it_the_layout_of_the_display(self, container):
        assert container.start(self.made(1920, 1080)).endswith(
            "azahar.AppImage --appimage-extract-and-run --fullscreen"
        )
        assert self.settings_of(container)["Layout"]["layout_option"] == "3"
        container.start(self.made(1080, 1920))
        assert self.settings_of(container)["Layout"]["layout_option"] == "0"

    def test_keeps_what_the_player_set_in_it(self, container):
        place = container.home / ".config/azahar-emu"
        place.mkdir(parents=True)
        (place / "qt-config.ini").write_text(
            "[Layout]\nlayout_option\\default=true\nscreen_gap=4\n[UI]\ntheme=dark\n"
        )
        container.start(self.made(1920, 1080))
        read = self.settings_of(container)
        assert (read["UI"]["theme"], read["Layout"]["screen_gap"]) == ("dark", "4")
        assert read["Layout"]["layout_option\\default"] == "false"

    def test_keeps_both_disks_in_the_slot_and_makes_them_first(self, container):
        container.start(self.made(1920, 1080))
        storage = self.settings_of(container)["Data%20Storage"]
        assert storage["use_custom_storage"] == "true"
        assert (storage["nand_directory"], storage["sdmc_directory"]) == ("/saves/nand/", "/saves/sdmc/")
        assert sorted(each.name for each in container.saves.iterdir() if each.is_dir()) == ["nand", "sdmc"]


@pytest.mark.parametrize("emulator", ["Ryubing", "Ryujinx"])
class TestStartOfRyujinx:
    KEPT = (
        "bis/user/save/0001/0/progress",
        "bis/user/saveMeta/0001",
        "bis/system/save/8000/imkvdb.arc",
        "system/Profiles.json",
    )

    def test_leads_saves_and_users_into_the_slot_and_nothing_else(self, container, emulator):
        made, place = recipe("switch", emulator=emulator), container.home / ".config/Ryujinx"
        container.start(made)
        for name in (*self.KEPT, "games/0100/cache/shaders", "bis/system/Contents/firmware"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("content")
        inside = {
            str(each.relative_to(container.saves)) for each in container.saves.rglob("*") if each.is_file()
        }
        assert inside == set(self.KEPT)
        assert not any(each.is_symlink() for each in container.saves.rglob("*"))

    def test_finds_them_again_on_another_machine(self, container, emulator, tmp_path):
        for name in self.KEPT:
            (container.saves / name).parent.mkdir(parents=True, exist_ok=True)
            (container.saves / name).write_text("before")
        for _ in range(2):  # a second start on the same machine as well
            container.start(recipe("switch", emulator=emulator))
        assert all((container.home / ".config/Ryujinx" / name).read_text() == "before" for name in self.KEPT)

    GIVEN = ("system/prod.keys", "bis/system/Contents/registered")

    def give(self, container: Container) -> None:
        (container.system / "ryujinx/registered/0a.nca").mkdir(parents=True)
        (container.system / "ryujinx/prod.keys").write_text("keys")

    def test_finds_the_librarys_keys_and_firmware(self, container, emulator):
        place = container.home / ".config/Ryujinx"
        container.start(recipe("switch", emulator=emulator))  # which makes its folders
        (place / self.GIVEN[1]).mkdir(exist_ok=True)
        self.give(container)
        for _ in range(2):
            container.start(recipe("switch", emulator=emulator))
        assert (place / self.GIVEN[0]).read_text() == "keys"
        assert [each.name for each in (place / self.GIVEN[1]).iterdir()] == ["0a.nca"]
        assert not (place / "system/title.keys").exists()
        assert not any("keys" in each.name for each in container.saves.rglob("*"))

    def test_leaves_a_firmware_that_the_player_installed(self, container, emulator):
        own = container.home / ".config/Ryujinx" / self.GIVEN[1] / "ff.nca"
        own.mkdir(parents=True)
        self.give(container)
        container.start(recipe("switch", emulator=emulator))
        assert [each.name for each in own.parent.iterdir()] == ["ff.nca"]
